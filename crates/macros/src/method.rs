//! The methods of an interface: their checks, and what each adds to client, description and service.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    Error, FnArg, GenericArgument, Ident, Pat, PathArguments, Result, ReturnType, TraitItem, TraitItemFn, Type,
    TypePath,
};

use crate::argument::{Argument, Kind, by_value};

/// The maximum number of a method's arguments.
const MAX_ARGUMENTS: usize = 8;

/// A method.
pub(crate) struct Method<'item> {
    item: &'item TraitItemFn,
    number: u32,
    /// Whether it takes `&mut self`.
    pub(crate) is_exclusive: bool,
    arguments: Vec<Argument>,
    returns: Type,
    error: Type,
}

impl<'item> Method<'item> {
    pub(crate) fn new(number: u32, part: &'item TraitItem) -> Result<Method<'item>> {
        let item = match part {
            TraitItem::Fn(item) => item,
            TraitItem::Const(_) => return Err(Error::new_spanned(part, "an interface has no constants: add a method")),
            TraitItem::Type(_) => {
                return Err(Error::new_spanned(part, "an interface has no types of its own: name one"));
            }
            _ => return Err(Error::new_spanned(part, "an interface has methods only")),
        };
        if let Some(attribute) = item.attrs.iter().find(|attribute| attribute.path().is_ident("cfg")) {
            return Err(Error::new_spanned(attribute, "an interface is the same in every build: leave `cfg` out"));
        }
        let signature = &item.sig;
        if let Some(token) = &signature.asyncness {
            return Err(Error::new_spanned(token, "a call returns when it is done: leave `async` out"));
        }
        if let Some(token) = &signature.unsafety {
            return Err(Error::new_spanned(token, "an interface's methods are safe to call: leave `unsafe` out"));
        }
        if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
            let clause = &signature.generics.where_clause;
            let params = &signature.generics.params;
            return Err(Error::new_spanned(
                quote!(#params #clause),
                "a method has no generics: both sides must know its types",
            ));
        }
        let is_exclusive = match signature.inputs.first() {
            Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.colon_token.is_none() => {
                receiver.mutability.is_some()
            }
            Some(FnArg::Receiver(receiver)) => {
                return Err(Error::new_spanned(
                    receiver,
                    "the provider stays where it is: take `&self` or `&mut self`",
                ));
            }
            _ => {
                return Err(Error::new_spanned(
                    &signature.ident,
                    "a method's first argument is `&self` or `&mut self`",
                ));
            }
        };
        let arguments: Vec<_> = signature.inputs.iter().skip(1).map(argument).collect::<Result<_>>()?;
        if let Some(input) = signature.inputs.iter().nth(MAX_ARGUMENTS + 1) {
            return Err(Error::new_spanned(input, "a method has at most 8 arguments: pass a `&T` of a structure"));
        }
        let (returns, error) = results(signature)?;
        Ok(Method { item, number, is_exclusive, arguments, returns, error })
    }

    /// Returns its description, an expression.
    pub(crate) fn signature(&self) -> TokenStream {
        let Method { is_exclusive, returns, error, .. } = self;
        let name = self.item.sig.ident.unraw().to_string();
        let arguments = self.arguments.iter().map(Argument::description);
        quote! {
            ::bareflow_abi::interface::Signature {
                name: #name,
                is_exclusive: #is_exclusive,
                arguments: &[#(#arguments),*],
                returns: <#returns as ::bareflow_abi::interface::Scalar>::TYPE,
                error: <#error as ::bareflow_abi::interface::Failure>::TYPE,
            }
        }
    }

    /// Returns the client's method.
    pub(crate) fn call(&self) -> TokenStream {
        let Method { number, returns, error, .. } = self;
        // Names that an argument can't have.
        let local = |name: &str| Ident::new(name, Span::mixed_site());
        let (words, answer) = (local("words"), local("answer"));
        let (mut pieces, mut list, mut appended) = (Vec::new(), Vec::new(), Vec::new());
        for (index, Argument { name, kind, of, .. }) in self.arguments.iter().enumerate() {
            let piece = local(&format!("piece_{index}"));
            let function = match kind {
                Kind::Scalar => {
                    list.push(quote!(<#of as ::bareflow_abi::interface::Scalar>::to_word(#name)));
                    continue;
                }
                Kind::Text => quote!(text),
                Kind::Slice => quote!(slice::<#of>),
                Kind::SliceMut => quote!(slice_mut::<#of>),
                Kind::Out => {
                    let at = list.len() + 1;
                    appended.push(quote!(#name.advance(#words[#at])));
                    quote!(room::<#of>)
                }
            };
            let value = match (kind, self.arguments[index].is_one) {
                (Kind::Slice, true) => quote!(::core::slice::from_ref(#name)),
                (Kind::SliceMut, true) => quote!(::core::slice::from_mut(#name)),
                _ => quote!(#name),
            };
            pieces.push(quote!(let #piece = ::bareflow_abi::interface::words::#function(#value);));
            list.extend([quote!(#piece[0]), quote!(#piece[1])]);
        }
        let (count, signature) = (list.len(), &self.item.sig);
        let receiver = signature.receiver().map(|receiver| receiver.self_token);
        let check = (!appended.is_empty()).then(|| {
            quote! {
                if #answer.is_ok() && !(true #(& #appended)*) {
                    return ::core::result::Result::Err(::core::convert::From::from(::bareflow_abi::CallError::BadAnswer));
                }
            }
        });
        quote! {
            #signature {
                #(#pieces)*
                let mut #words: [::core::primitive::u64; #count] = [#(#list),*];
                // SAFETY: the words are those of the method with this number, and what they lead to is lent to it.
                let #answer = unsafe { #receiver.port.call::<#returns, #error>(#number, &mut #words) };
                #check
                #answer
            }
        }
    }

    /// Returns the arm that calls the provider's method.
    pub(crate) fn arm(&self, interface: &Ident) -> TokenStream {
        let Method { number, returns, error, .. } = self;
        let method = &self.item.sig.ident;
        let (mut reads, mut values, mut appended) = (Vec::new(), Vec::new(), Vec::new());
        for (index, Argument { kind, is_one, of, .. }) in self.arguments.iter().enumerate() {
            let name = format_ident!("argument_{index}", span = Span::mixed_site());
            let read = match (kind, is_one) {
                (Kind::Scalar, _) => quote!(scalar::<#of>()),
                (Kind::Text, _) => quote!(text()),
                (Kind::Slice, false) => quote!(slice::<#of>()),
                (Kind::Slice, true) => quote!(one::<#of>()),
                (Kind::SliceMut, false) => quote!(slice_mut::<#of>()),
                (Kind::SliceMut, true) => quote!(one_mut::<#of>()),
                (Kind::Out, _) => quote!(out::<#of>()),
            };
            let read = match kind {
                Kind::Scalar => quote!(words.#read?),
                // SAFETY: the shape is made of the same arguments, and these are the call's only words.
                _ => quote!(unsafe { words.#read }?),
            };
            if *kind == Kind::Out {
                reads.push(quote!(let mut #name = #read;));
                values.push(quote!(&mut #name));
                appended.push(quote!(#name.written_bytes()));
            } else {
                reads.push(quote!(let #name = #read;));
                values.push(quote!(#name));
            }
        }
        let count: usize = self.arguments.iter().map(Argument::words).sum();
        let outs = appended.len();
        let start = (count > 0).then(|| quote!(let mut words = arguments.words::<#count>()?;));
        quote! {
            #number => {
                // SAFETY: the shape is made of the same arguments.
                let reply = unsafe { arguments.reply::<#outs>() }?;
                #start
                #(#reads)*
                let answer = <__Provider as #interface>::#method(provider #(, #values)*);
                ::core::result::Result::Ok(reply.answer::<#returns, #error>(answer, [#(#appended),*]))
            }
        }
    }
}

fn argument(input: &FnArg) -> Result<Argument> {
    let FnArg::Typed(typed) = input else { return Err(Error::new_spanned(input, "`self` comes first")) };
    match &*typed.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.mutability.is_none() => {
            Argument::new(&pattern.ident, &typed.ty)
        }
        pattern => Err(Error::new_spanned(pattern, "an argument has a name, which tools show")),
    }
}

/// Returns the types of a method's `Result`.
fn results(signature: &syn::Signature) -> Result<(Type, Type)> {
    const REMEDY: &str = "a call can fail on its way: return `Result<T, E>`, where `E` derives `Failure`";
    let ReturnType::Type(_, returned) = &signature.output else {
        return Err(Error::new_spanned(&signature.ident, REMEDY));
    };
    let Type::Path(TypePath { qself: None, path }) = &**returned else {
        return Err(Error::new_spanned(returned, REMEDY));
    };
    let last = path.segments.last().filter(|last| last.ident == "Result");
    let Some(PathArguments::AngleBracketed(arguments)) = last.map(|last| &last.arguments) else {
        return Err(Error::new_spanned(returned, REMEDY));
    };
    let types: Vec<_> = arguments.args.iter().collect();
    let [GenericArgument::Type(returns), GenericArgument::Type(error)] = types[..] else {
        return Err(Error::new_spanned(returned, REMEDY));
    };
    match returns {
        Type::Path(path) => by_value(path)?,
        Type::Tuple(tuple) if tuple.elems.is_empty() => returns.clone(),
        other => {
            return Err(Error::new_spanned(
                other,
                "a call returns a scalar or `()`: pass `&mut T`, `&mut [T]` or `&mut Out<'_, T>` for the rest",
            ));
        }
    };
    Ok((returns.clone(), error.clone()))
}
