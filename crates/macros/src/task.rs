//! The task of a module: its types, and its place in the data.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, Result};

use crate::entry::{at, key};
use crate::settings::Settings;

/// Returns the task's types, and what else it consists of.
pub(crate) fn task(settings: &Settings) -> Result<(TokenStream, TokenStream)> {
    let Settings { abi, state, events, .. } = settings;
    let Some(main) = &events.task else { return Ok(Default::default()) };
    let Some(import) = settings.events_import() else {
        let message = "module!: a task takes its time from the loader: add `events: Events` to the `imports`, of the crate \
                       `bareflow-events`";
        return Err(Error::new_spanned(main, message));
    };
    let (timer, stop) = (events.number("task"), events.number("stop"));
    let state = state.as_ref().map_or_else(|| quote!(()), |state| quote!(#state));
    let (name, interface) = (&import.name, key(&import.interface));
    let types = quote! {
        /// The module's task.
        #[derive(Clone, Copy, Debug)]
        pub struct Task;

        /// The way of the module's task to its loader.
        pub type TaskContext = #abi::task::TaskContext<Task>;
    };
    let room = quote_spanned!(at(main)=> #abi::task::future_room::<Task, _>(#main));
    let task = quote! {
        const _: () = ::core::assert!(
            FLAGS & #abi::header::FLAG_REENTRANT == 0, "module!: calls that share a task can't overlap"
        );
        static CURRENT: #abi::task::Current<#state> = #abi::task::Current::new();
        static TASK: #abi::task::Storage<{ #room }> = #abi::task::Storage::new();

        impl #abi::task::Task for Task {
            const TIMER: u32 = #timer;
            const STOP: u32 = #stop;
            type State = #state;
            type Imports<'call> = Imports<'call>;
            type Events<'call> = <#interface as #abi::Interface>::Client<'call>;
            type Error = <Self::Events<'static> as #abi::task::EventClient>::Error;

            #[inline]
            fn current() -> &'static #abi::task::Current<#state> {
                &CURRENT
            }

            #[inline]
            fn imports<'call>(context: &#abi::Context<'call>) -> Imports<'call> {
                Imports::of(context)
            }

            #[inline]
            fn events<'call>(context: &#abi::Context<'call>) -> Self::Events<'call> {
                Imports::of(context).#name
            }
        }
    };
    Ok((types, task))
}
