//! The names that code refers to other code and data by.

use cranelift_codegen::ir::{self, UserExternalName};

use crate::routines::Routine;

/// A piece of code or data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Symbol {
    /// The function of the module with this number.
    Function(u32),
    /// A function of the runtime.
    Runtime(Routine),
    /// The start of the read-only data.
    Rodata,
    /// The start of the data: the context of the instance.
    Data,
}

/// The spaces of Cranelift's numbers for names.
const FUNCTIONS: u32 = 0;
const ROUTINES: u32 = 1;
const SEGMENTS: u32 = 2;

impl Symbol {
    /// Returns Cranelift's form of the name.
    pub fn to_user(self) -> UserExternalName {
        let (namespace, index) = match self {
            Symbol::Function(number) => (FUNCTIONS, number),
            Symbol::Runtime(routine) => {
                let position = Routine::ALWAYS_NUMBERED.iter().position(|other| *other == routine);
                // Roundings are only ever called by Cranelift itself, by names of its own.
                (ROUTINES, position.map_or(u32::MAX, |position| position as u32))
            }
            Symbol::Rodata => (SEGMENTS, 0),
            Symbol::Data => (SEGMENTS, 1),
        };
        UserExternalName { namespace, index }
    }

    /// Returns the symbol that a name of Cranelift's stands for.
    pub fn of(name: &ir::ExternalName, function: &ir::Function) -> Option<Symbol> {
        match name {
            ir::ExternalName::LibCall(call) => Routine::of_library_call(*call).map(Symbol::Runtime),
            ir::ExternalName::User(reference) => {
                let user = &function.params.user_named_funcs()[*reference];
                match (user.namespace, user.index) {
                    (FUNCTIONS, number) => Some(Symbol::Function(number)),
                    (ROUTINES, index) => {
                        Routine::ALWAYS_NUMBERED.get(index as usize).map(|routine| Symbol::Runtime(*routine))
                    }
                    (SEGMENTS, 0) => Some(Symbol::Rodata),
                    (SEGMENTS, _) => Some(Symbol::Data),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
