//! `#[interface]`: what a trait's client, description and service are made of.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Error, FnArg, GenericArgument, Ident, ItemTrait, LitStr, MetaNameValue, Pat, PathArguments, Result, ReturnType,
    TraitItem, TraitItemFn, Type, TypePath,
};

use crate::argument::{Argument, Kind, by_value};

/// The maximum number of a method's arguments.
const MAX_ARGUMENTS: usize = 8;

/// The maximum number of an interface's methods.
const MAX_METHODS: usize = 255;

/// The maximum length of an interface's name.
const MAX_NAME: usize = 31;

/// A method.
struct Method<'item> {
    item: &'item TraitItemFn,
    number: u32,
    /// Whether it takes `&mut self`.
    is_exclusive: bool,
    arguments: Vec<Argument>,
    returns: Type,
    error: Type,
}

pub(crate) fn expand(attribute: TokenStream, item: &ItemTrait) -> Result<TokenStream> {
    let (major, minor) = version(attribute)?;
    check_trait(item)?;
    let name = snake_case(&item.ident)?;
    let mut methods = Vec::new();
    let mut errors: Option<Error> = None;
    for (number, part) in (0..).zip(&item.items) {
        match Method::new(number, part) {
            Ok(method) => methods.push(method),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }
    if !(1..=MAX_METHODS).contains(&methods.len()) {
        return Err(Error::new(item.ident.span(), "an interface has 1 to 255 methods"));
    }
    let (ident, visibility) = (&item.ident, &item.vis);
    let client = format_ident!("{ident}Client");
    let about = format!("A user's end of [`{ident}`]: each method is a call of the provider.");
    let calls = methods.iter().map(Method::call);
    let signatures = methods.iter().map(Method::signature);
    let count = methods.len();
    let arms: Vec<_> = methods.iter().map(|method| (method.is_exclusive, method.arm(ident))).collect();
    let all = arms.iter().map(|(_, arm)| arm);
    let shared = arms.iter().filter(|(is_exclusive, _)| !is_exclusive).map(|(_, arm)| arm);
    Ok(quote! {
        #[doc = #about]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #client<'call> {
            port: ::bareflow_abi::interface::Port<'call>,
        }

        #[automatically_derived]
        impl #ident for #client<'_> {
            #(#calls)*
        }

        #[automatically_derived]
        impl ::bareflow_abi::interface::Interface for dyn #ident {
            const NAME: &'static str = #name;
            const VERSION: (u16, u16) = (#major, #minor);
            const SIGNATURES: &'static [::bareflow_abi::interface::Signature] = &[#(#signatures),*];
            const METHODS: &'static [::bareflow_abi::interface::bindings::Method] = {
                const METHODS: [::bareflow_abi::interface::bindings::Method; #count] =
                    ::bareflow_abi::interface::methods(<dyn #ident as ::bareflow_abi::interface::Interface>::SIGNATURES);
                &METHODS
            };
            const TEXT: &'static str = {
                const TEXT: &'static str = ::bareflow_abi::interface::text(&::bareflow_abi::interface::encode_text::<{
                    ::bareflow_abi::interface::text_size(
                        #name, (#major, #minor), <dyn #ident as ::bareflow_abi::interface::Interface>::SIGNATURES,
                    )
                }>(#name, (#major, #minor), <dyn #ident as ::bareflow_abi::interface::Interface>::SIGNATURES));
                TEXT
            };
            type Client<'call> = #client<'call>;

            fn client(port: ::bareflow_abi::interface::Port<'_>) -> #client<'_> {
                #client { port }
            }
        }

        #[automatically_derived]
        impl<__Provider: #ident + ?::core::marker::Sized> ::bareflow_abi::interface::Serve<__Provider> for dyn #ident {
            #[inline]
            fn serve(
                provider: &mut __Provider,
                arguments: &::bareflow_abi::interface::Arguments<'_>,
            ) -> ::core::result::Result<u32, ::bareflow_abi::CallError> {
                match arguments.method() {
                    #(#all)*
                    _ => ::core::result::Result::Err(::bareflow_abi::CallError::NoSuchMethod),
                }
            }

            #[inline]
            fn serve_shared(
                provider: &__Provider,
                arguments: &::bareflow_abi::interface::Arguments<'_>,
            ) -> ::core::result::Result<u32, ::bareflow_abi::CallError> {
                let _ = provider;
                match arguments.method() {
                    #(#shared)*
                    _ => ::core::result::Result::Err(::bareflow_abi::CallError::NoSuchMethod),
                }
            }
        }
    })
}

/// Parses `version = "1.0"`.
fn version(attribute: TokenStream) -> Result<(u16, u16)> {
    const REMEDY: &str = "an interface has a version, `#[interface(version = \"1.0\")]`: major, which changes when users \
                          break, and minor, which grows with new methods";
    if attribute.is_empty() {
        return Err(Error::new(Span::call_site(), REMEDY));
    }
    let setting: MetaNameValue = syn::parse2(attribute).map_err(|error| Error::new(error.span(), REMEDY))?;
    if !setting.path.is_ident("version") {
        return Err(Error::new_spanned(setting.path, REMEDY));
    }
    let text: LitStr = syn::parse2(quote::ToTokens::to_token_stream(&setting.value))
        .map_err(|_| Error::new(setting.value.span(), REMEDY))?;
    let number = |part: &str| {
        let is_short = part == "0" || !part.starts_with('0');
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten().filter(|_| is_short)
    };
    let value = text.value();
    let parsed = value.split_once('.').and_then(|(major, minor)| number(major).zip(number(minor)));
    parsed.filter(|&version| version != (0, 0)).ok_or_else(|| Error::new(text.span(), REMEDY))
}

fn check_trait(item: &ItemTrait) -> Result<()> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "an interface has no generics: both sides must know its types"));
    }
    if let Some(clause) = &item.generics.where_clause {
        return Err(Error::new_spanned(clause, "an interface has no conditions"));
    }
    if !item.supertraits.is_empty() {
        return Err(Error::new_spanned(
            &item.supertraits,
            "an interface has no supertraits: its client would have to implement them; ask for them where you use it",
        ));
    }
    if let Some(token) = &item.unsafety {
        return Err(Error::new_spanned(token, "an interface is safe to implement: a provider is trusted with nothing"));
    }
    Ok(())
}

/// Returns the interface's name: that of the trait in snake case.
fn snake_case(ident: &Ident) -> Result<String> {
    let (mut name, mut may_break) = (String::new(), false);
    let text = ident.unraw().to_string();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        // A word begins with a capital after a small letter, and with the last of several capitals.
        let begins_word =
            letter.is_uppercase() && (may_break || letters.peek().is_some_and(|next| next.is_lowercase()));
        if begins_word && !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        may_break = letter.is_lowercase() || letter.is_ascii_digit();
        name.extend(letter.to_lowercase());
    }
    if !name.is_ascii() || name.len() > MAX_NAME {
        return Err(Error::new(
            ident.span(),
            format!("`{name}` is no interface's name: `[a-z0-9_]`, at most 31 bytes"),
        ));
    }
    Ok(name)
}

impl<'item> Method<'item> {
    fn new(number: u32, part: &'item TraitItem) -> Result<Method<'item>> {
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
    fn signature(&self) -> TokenStream {
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
    fn call(&self) -> TokenStream {
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
    fn arm(&self, interface: &Ident) -> TokenStream {
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
            if *kind == Kind::Out {
                reads.push(quote!(let mut #name = words.#read?;));
                values.push(quote!(&mut #name));
                appended.push(quote!(#name.written_bytes()));
            } else {
                reads.push(quote!(let #name = words.#read?;));
                values.push(quote!(#name));
            }
        }
        let count: usize = self.arguments.iter().map(Argument::words).sum();
        let outs = appended.len();
        let start = (count > 0).then(|| quote!(let mut words = arguments.words::<#count>()?;));
        quote! {
            #number => {
                let reply = arguments.reply::<#outs>()?;
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
