//! Machine code: each function compiled, all collated and linked.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use bareflow_abi::layout::{DATA_OFFSET, MAX_SEGMENT_SIZE, RODATA_OFFSET};
use bareflow_abi::traps::{TrapKind, TrapSite};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{Signature, TrapCode};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::{CodegenError, Context, FinalizedRelocTarget, MachTrap};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use crate::blob::Plan;
use crate::emitter::{
    Emitter, Environment, TABLE_OUT_OF_BOUNDS, TYPE_MISMATCH, UNINITIALIZED_ELEMENT, UNREACHABLE, signature_of,
};
use crate::error::Error;
use crate::module::Module;
use crate::names::{Routine, Symbol};
use crate::options::Options;
use crate::{function, isa, runtime};

/// The alignment of functions, in bytes.
const ALIGNMENT: usize = 16;

/// The instruction of explicit traps.
const UD2: [u8; 2] = [0x0f, 0x0b];

/// The code of a module.
pub(crate) struct Compiled {
    pub text: Vec<u8>,
    /// The offset of the entry.
    pub entry: u32,
    /// The offsets of the module's functions.
    pub functions: Vec<u32>,
    /// All pieces of code, in ascending order: offset, size, name.
    pub pieces: Vec<(u32, u32, Symbol)>,
    /// The trap sites, in ascending order.
    pub traps: Vec<TrapSite>,
}

/// A distance in the code that is not yet known.
struct Relocation {
    at: u32,
    addend: i32,
    target: Symbol,
}

struct Collator<'module> {
    environment: Environment<'module>,
    isa: OwnedTargetIsa,
    context: Context,
    builder: FunctionBuilderContext,
    compiled: Compiled,
    relocations: Vec<Relocation>,
    routines: BTreeMap<Routine, Option<u32>>,
}

/// Compiles all functions of a module, and the routines that they use.
pub(crate) fn compile(module: &Module<'_>, plan: &Plan<'_>, options: &Options) -> Result<Compiled, Error> {
    let mut collator = Collator {
        environment: Environment { module, plan, options },
        isa: isa::target(options)?,
        context: Context::new(),
        builder: FunctionBuilderContext::new(),
        compiled: Compiled { text: Vec::new(), entry: 0, functions: Vec::new(), pieces: Vec::new(), traps: Vec::new() },
        relocations: Vec::new(),
        routines: BTreeMap::from([(Routine::Entry, None)]),
    };
    let imports = module.imports.len();
    for number in 0..module.function_count() {
        let offset = collator.function(
            Symbol::Function(number),
            signature_of(module.type_of(number)),
            |mut emit| match module.imports.get(number as usize) {
                Some(import) => {
                    runtime::emit_import(&mut emit, *import);
                    Ok(emit)
                }
                None => function::translate(emit, number, &module.bodies[number as usize - imports]),
            },
        )?;
        collator.compiled.functions.push(offset);
    }
    while let Some(routine) = collator.routines.iter().find(|entry| entry.1.is_none()).map(|entry| *entry.0) {
        let offset = collator.routine(routine)?;
        collator.routines.insert(routine, Some(offset));
        if routine == Routine::Entry {
            collator.compiled.entry = offset;
        }
    }
    collator.link();
    Ok(collator.compiled)
}

impl<'module> Collator<'module> {
    fn routine(&mut self, routine: Routine) -> Result<u32, Error> {
        let symbol = Symbol::Runtime(routine);
        if let Some(code) = runtime::raw_code(routine) {
            return self.append(symbol, code);
        }
        self.function(symbol, runtime::signature_of(routine), |mut emit| {
            runtime::emit_routine(&mut emit, routine);
            Ok(emit)
        })
    }

    /// Compiles a function. Returns its offset.
    fn function(
        &mut self,
        symbol: Symbol,
        signature: Signature,
        emit: impl for<'emit> FnOnce(Emitter<'module, 'emit>) -> Result<Emitter<'module, 'emit>, Error>,
    ) -> Result<u32, Error> {
        self.context.clear();
        self.context.func.signature = signature;
        let builder = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let emit = emit(Emitter::new(self.environment, builder))?;
        emit.builder.finalize(self.isa.frontend_config());
        let compiled = self.context.compile(&*self.isa, &mut ControlPlane::default());
        if let Err(error) = compiled {
            return Err(refusal(symbol, &error.inner));
        }
        let Some(compiled) = self.context.take_compiled_code() else {
            return Err(Error::unsupported(format!("{symbol:?} has no code")));
        };
        let offset = self.append(symbol, compiled.code_buffer())?;
        for relocation in compiled.buffer.relocs() {
            let FinalizedRelocTarget::ExternalName(name) = &relocation.target else {
                return Err(Error::unsupported(format!("{symbol:?} refers to {:?}", relocation.target)));
            };
            let target = Symbol::of(name, &self.context.func).filter(|_| {
                matches!(relocation.kind, Reloc::X86PCRel4 | Reloc::X86CallPCRel4)
                    && i32::try_from(relocation.addend).is_ok()
            });
            let Some(target) = target else {
                return Err(Error::unsupported(format!("{symbol:?} refers to {name:?} by {:?}", relocation.kind)));
            };
            if let Symbol::Runtime(routine) = target {
                self.routines.entry(routine).or_insert(None);
            }
            self.relocations.push(Relocation {
                at: offset + relocation.offset,
                addend: relocation.addend as i32,
                target,
            });
        }
        let text = &self.compiled.text;
        self.compiled.traps.extend(compiled.buffer.traps().iter().filter_map(|trap| site(trap, offset, text)));
        Ok(offset)
    }

    /// Appends code. Returns its offset.
    fn append(&mut self, symbol: Symbol, code: &[u8]) -> Result<u32, Error> {
        let text = &mut self.compiled.text;
        let offset = text.len().next_multiple_of(ALIGNMENT);
        if (offset + code.len()) as u64 > MAX_SEGMENT_SIZE {
            return Err(Error::too_large(format!(
                "the code has more than {MAX_SEGMENT_SIZE} bytes; use fewer functions"
            )));
        }
        // What is between functions traps.
        text.resize(offset, 0xcc);
        text.extend_from_slice(code);
        self.compiled.pieces.push((offset as u32, code.len() as u32, symbol));
        Ok(offset as u32)
    }

    /// Writes all distances.
    fn link(&mut self) {
        for relocation in &self.relocations {
            let target = match relocation.target {
                Symbol::Function(number) => i64::from(self.compiled.functions[number as usize]),
                Symbol::Runtime(routine) => self.routines.get(&routine).copied().flatten().map_or(0, i64::from),
                Symbol::Rodata => RODATA_OFFSET as i64,
                Symbol::Data => DATA_OFFSET as i64,
            };
            // An image spans less than 2 GiB.
            let distance = (target + i64::from(relocation.addend) - i64::from(relocation.at)) as i32;
            let at = relocation.at as usize;
            self.compiled.text[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
    }
}

/// Returns the site of a trap that the loader is to tell apart: a `ud2`, or a division.
fn site(trap: &MachTrap, start: u32, text: &[u8]) -> Option<TrapSite> {
    let offset = start + trap.offset;
    let kind = match trap.code {
        UNREACHABLE => TrapKind::Unreachable,
        TABLE_OUT_OF_BOUNDS => TrapKind::OutOfBoundsTableAccess,
        UNINITIALIZED_ELEMENT => TrapKind::UninitializedElement,
        TYPE_MISMATCH => TrapKind::IndirectCallTypeMismatch,
        TrapCode::INTEGER_DIVISION_BY_ZERO => TrapKind::IntegerDivideByZero,
        TrapCode::INTEGER_OVERFLOW => TrapKind::IntegerOverflow,
        TrapCode::BAD_CONVERSION_TO_INTEGER => TrapKind::InvalidConversionToInteger,
        TrapCode::HEAP_OUT_OF_BOUNDS if text[offset as usize..].starts_with(&UD2) => TrapKind::OutOfBoundsMemoryAccess,
        // An access that the window ends, and the stack's probes, fault by themselves.
        _ => return None,
    };
    Some(TrapSite { offset, kind })
}

fn refusal(symbol: Symbol, error: &CodegenError) -> Error {
    let place = match symbol {
        Symbol::Function(number) => format!("function {number}"),
        other => format!("{other:?}"),
    };
    match error {
        CodegenError::ImplLimitExceeded | CodegenError::CodeTooLarge => {
            Error::too_large(format!("{place} is larger than what is compiled ({error}); split it"))
        }
        _ => Error::unsupported(format!("{place} can't be compiled: {error}")),
    }
}
