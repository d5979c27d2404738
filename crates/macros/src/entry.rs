//! The entry of a module with imports, exports or events.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Path};

use crate::settings::Settings;

/// Returns the entry.
pub(crate) fn entry(settings: &Settings) -> TokenStream {
    let Settings { abi, run, parameters, state, migrate, imports, functions, interfaces, .. } = settings;
    let migrate = match migrate {
        Some(migrate) => quote!(::core::option::Option::Some(#migrate)),
        None => quote!(::core::option::Option::None),
    };
    let state_type = state.as_ref().map_or_else(|| quote!(()), |state| quote!(#state));
    let (imports_type, imports) = match imports.is_empty() {
        true => (quote!(()), quote!(())),
        false => (quote!(Imports<'_>), quote!(Imports::of(context))),
    };
    let call = |function: TokenStream| {
        quote_spanned! {at(&function)=>
            <_ as #abi::__private::Function<#state_type, #imports_type, _>>::call(#function, context, state, #imports)
        }
    };
    let when = |reason: TokenStream, function: TokenStream| {
        let call = call(function);
        quote!(if reason == #reason { return #call; })
    };
    let handler = |name: &str, function: &Option<Expr>| {
        let name = format_ident!("{name}");
        function.as_ref().map(|function| when(quote!(#abi::Reason::#name as u32), quote!(#function)))
    };
    let parameters = parameters.as_ref().map(|parameters| {
        quote! {
            if reason == #abi::Reason::Parameters as u32 {
                return #abi::__private::set_parameters::<#parameters>(context);
            }
        }
    });
    let (init, exit) = (handler("Init", &settings.init), handler("Exit", &settings.exit));
    let exports_nothing = settings.function_names().is_empty() && interfaces.is_empty();
    let run_if_asked =
        run.iter().filter(|_| !exports_nothing).map(|run| when(quote!(#abi::Reason::Run as u32), quote!(#run)));
    let functions = functions
        .iter()
        .zip(0_u32..)
        .map(|(function, number)| when(quote!(#abi::interface::FIRST_FUNCTION + #number), quote!(#function)));
    let poll = poll(settings);
    // Without exports an entry is called for no other reason.
    let last = match run.iter().find(|_| exports_nothing) {
        Some(run) => call(quote!(#run)),
        None => serve(settings),
    };
    let body = quote!(#parameters #init #exit #(#run_if_asked)* #(#functions)* #poll #last);
    let body = if state.is_some() {
        quote! {
            STATE.enter(|state| {
                if reason == #abi::Reason::Save as u32 {
                    return #abi::__private::save_state(state, context);
                }
                if reason == #abi::Reason::Migrate as u32 {
                    return #abi::__private::restore_state(state, context, #migrate);
                }
                #body
            })
        }
    } else {
        quote!(let state = &mut (); #body)
    };
    // A task may be woken in any call.
    let body = match &settings.events.task {
        None => body,
        Some(_) => quote! {
            #[inline(always)]
            #[allow(unused_variables)]
            fn call(context: &mut #abi::Context<'_>, reason: u32) -> i32 {
                #body
            }
            let result = call(context, reason);
            #abi::task::end_call::<Task>(context);
            result
        },
    };
    quote! {
        #[cfg_attr(bareflow_module, unsafe(export_name = "bareflow_entry"))]
        #[allow(dead_code, unused_variables)]
        extern "C" fn entry(context: &mut #abi::Context<'_>, reason: u32) -> i32 {
            if let ::core::option::Option::Some(done) = #abi::__private::prepare(context, reason) {
                return done;
            }
            #body
        }
    }
}

/// Returns the part of the entry by which the task is polled.
fn poll(Settings { abi, functions, events, .. }: &Settings) -> Option<TokenStream> {
    let (main, number) = (events.task.as_ref()?, functions.len() as u32);
    Some(quote_spanned! {at(main)=>
        if reason == #abi::interface::FIRST_FUNCTION + #number {
            // SAFETY: a loader lets no two calls of a module overlap that is not reentrant, and it has no threads.
            return unsafe { #abi::task::poll::<Task, _, _>(&TASK, #main, context, state) };
        }
    })
}

/// Returns the expression that serves the interfaces.
fn serve(settings: &Settings) -> TokenStream {
    let Settings { abi, state, imports, interfaces, provider, .. } = settings;
    let no_such_method =
        quote!(#abi::interface::entry_result(::core::result::Result::Err(#abi::CallError::NoSuchMethod)));
    let Some((last, others)) = interfaces.split_last() else { return no_such_method };
    let provider = provider.as_ref().map(|provider| {
        let state = state.as_ref().map(|_| quote!(state,));
        let imports = (!imports.is_empty()).then(|| quote!(imports: Imports::of(context),));
        quote! {
            // SAFETY: what the provider gets lives as long as its call, and it can write nothing shorter to the context.
            &mut #provider { #imports #state context: unsafe { context.shorten() } }
        }
    });
    let provider = provider.unwrap_or_else(|| quote!(state));
    let first = settings.function_names().len() as u32;
    // The method's number in its interface; those of other reasons are larger than any method's.
    let serve = |interface: &Path| {
        let key = key(interface);
        quote_spanned! {at(interface)=> {
            // SAFETY: the loader passes the frame of the function with this number, which the bindings describe.
            let arguments = unsafe { context.take_arguments::<#key>(method) };
            #abi::interface::entry_result(<#key as #abi::interface::Serve<_>>::serve(#provider, &arguments))
        }}
    };
    let others = others.iter().map(|interface| {
        let (serve, count) = (serve(interface), {
            let key = key(interface);
            quote!(<#key as #abi::Interface>::METHODS.len() as u32)
        });
        quote! {
            if method < #count {
                return #serve;
            }
            let method = method.wrapping_sub(#count);
        }
    });
    let last = serve(last);
    quote! {
        let method = reason.wrapping_sub(#abi::interface::FIRST_FUNCTION + #first);
        #(#others)*
        #last
    }
}

/// Returns the type by which an interface is named. An error of it is one of the interface's name.
pub(crate) fn key(interface: &Path) -> TokenStream {
    quote_spanned!(at(interface)=> dyn #interface)
}

/// Returns the span of code that is this macro's, with its errors at what the author wrote.
pub(crate) fn at(written: &impl Spanned) -> Span {
    Span::call_site().located_at(written.span())
}
