//! The signatures that a module's functions may have.

use crate::Context;

/// A marker for functions without arguments.
#[derive(Debug)]
pub struct NoContext;

/// A marker for functions that take a [`Context`].
#[derive(Debug)]
pub struct WithContext;

/// A function that can be a module's: `fn() -> i32` or `fn(&mut Context) -> i32`.
///
/// `Form` distinguishes the two and is inferred.
#[diagnostic::on_unimplemented(
    message = "this is no function of a module",
    label = "not a `fn(..) -> i32` whose arguments are a module's",
    note = "expected `fn() -> i32` or `fn(&mut Context) -> i32`; a state needs `state = ..` in `module!`"
)]
pub trait Entry<Form> {
    /// Calls the function.
    fn enter(self, context: &mut Context<'_>) -> i32;
}

impl<F: FnOnce() -> i32> Entry<NoContext> for F {
    #[inline(always)]
    fn enter(self, _: &mut Context<'_>) -> i32 {
        self()
    }
}

impl<F: FnOnce(&mut Context<'_>) -> i32> Entry<WithContext> for F {
    #[inline(always)]
    fn enter(self, context: &mut Context<'_>) -> i32 {
        self(context)
    }
}

/// A function of a module with state: it may take the state, or the arguments of functions in other modules.
#[diagnostic::on_unimplemented(
    message = "this is no function of a module",
    label = "not a `fn(..) -> i32` whose arguments are a module's",
    note = "expected `fn() -> i32`, `fn(&mut Context) -> i32` or `fn(&mut Context, &mut {S}) -> i32`, in this order"
)]
pub trait StatefulEntry<S, Form> {
    /// Calls the function.
    fn enter_with(self, context: &mut Context<'_>, state: &mut S) -> i32;
}

/// A marker for functions that take a [`Context`] and the state.
#[derive(Debug)]
pub struct WithState;

impl<S, F: FnOnce(&mut Context<'_>, &mut S) -> i32> StatefulEntry<S, WithState> for F {
    #[inline(always)]
    fn enter_with(self, context: &mut Context<'_>, state: &mut S) -> i32 {
        self(context, state)
    }
}

impl<S, F: FnOnce() -> i32> StatefulEntry<S, NoContext> for F {
    #[inline(always)]
    fn enter_with(self, _: &mut Context<'_>, _: &mut S) -> i32 {
        self()
    }
}

impl<S, F: FnOnce(&mut Context<'_>) -> i32> StatefulEntry<S, WithContext> for F {
    #[inline(always)]
    fn enter_with(self, context: &mut Context<'_>, _: &mut S) -> i32 {
        self(context)
    }
}

/// A function of a module with imports or exports: it may also take the state, the imports, or both.
///
/// `S` and `I` are the types of state and imports, `()` if there are none.
#[diagnostic::on_unimplemented(
    message = "this is no function of a module",
    label = "not a `fn(..) -> i32` whose arguments are a module's",
    note = "it takes, in this order, `&mut Context`, then `&mut {S}` for the state, then `Imports`; the last two may be left \
            out, or all three",
    note = "there is a state only with `state = ..` in `module!`, and `Imports` only with `imports = ..`"
)]
pub trait Function<S, I, Form> {
    /// Calls the function.
    fn call(self, context: &mut Context<'_>, state: &mut S, imports: I) -> i32;
}

/// A marker for functions that take a [`Context`] and the imports.
#[derive(Debug)]
pub struct WithImports;

/// A marker for functions that take a [`Context`], the state and the imports.
#[derive(Debug)]
pub struct WithAll;

macro_rules! functions {
    ($($form:ty: $context:ident $state:ident $imports:ident, $($argument:ident: $type:ty),*;)+) => {$(
        impl<S, I, F: FnOnce($($type),*) -> i32> Function<S, I, $form> for F {
            #[inline(always)]
            fn call(self, $context: &mut Context<'_>, $state: &mut S, $imports: I) -> i32 {
                self($($argument),*)
            }
        }
    )+};
}

functions! {
    NoContext: _c _s _i,;
    WithContext: context _s _i, context: &mut Context<'_>;
    WithState: context state _i, context: &mut Context<'_>, state: &mut S;
    WithImports: context _s imports, context: &mut Context<'_>, imports: I;
    WithAll: context state imports, context: &mut Context<'_>, state: &mut S, imports: I;
}
