//! wasmtime: the calls that it makes, as cases.

use anyhow::{Context, Result, bail};
use bareflow_loader::FaultKind;
use wasmtime::{ExternType, Instance, Store, Trap, Val, ValType};

use crate::case::{Case, End, Pattern};

/// The place of cases that look at a global.
pub const GLOBAL: &str = "a global";

/// An instance by wasmtime.
pub struct Peer {
    /// The store.
    pub store: Store<()>,
    /// The instance.
    pub instance: Instance,
}

impl Peer {
    /// Makes calls, and returns them as cases with what came of them; then the globals, if no call trapped.
    pub fn cases(mut self, module: &wasmtime::Module, random: &mut fastrand::Rng, calls: u64) -> Result<Vec<Case>> {
        let (mut functions, mut globals, mut cases) = (Vec::new(), Vec::new(), Vec::new());
        for export in module.exports() {
            match export.ty() {
                ExternType::Func(function) => functions.push((export.name(), function)),
                ExternType::Global(_) => globals.push(export.name()),
                _ => {}
            }
        }
        // The order is that of the names, so that a number always stands for the same calls.
        functions.sort_by_key(|function| function.0);
        for _ in 0..calls.min(10 * functions.len() as u64) {
            let (name, function) = &functions[random.usize(..functions.len())];
            let arguments: Vec<u64> = function.params().map(|kind| argument(random, &kind)).collect();
            let types: Vec<_> = function.params().collect();
            let end = match self.call(name, &types, &arguments, function.results().len())? {
                Ok(results) => End::ReturnsThese(results),
                Err(Some(Trap::StackOverflow)) => return Ok(cases),
                Err(trap) => End::Traps(kind_of(trap)?),
            };
            let place = format!("{name:?} of {arguments:x?}");
            let case = Case { place, export: (*name).into(), arguments, end };
            cases.push(case);
            if !cases.last().is_none_or(Case::returns) {
                return Ok(cases);
            }
        }
        for name in globals {
            let global = self.instance.get_global(&mut self.store, name).context("no such global")?;
            let end = End::ReturnsThese(vec![pattern(&global.get(&mut self.store))]);
            cases.push(Case { place: GLOBAL.into(), export: name.into(), arguments: Vec::new(), end });
        }
        Ok(cases)
    }

    /// Calls a function. Returns the results' bits, or the trap.
    fn call(
        &mut self,
        name: &str,
        types: &[ValType],
        arguments: &[u64],
        results: usize,
    ) -> Result<Result<Vec<Pattern>, Option<Trap>>> {
        let function = self.instance.get_func(&mut self.store, name).context("no such function")?;
        let arguments: Vec<Val> = types.iter().zip(arguments).map(|(kind, bits)| value(kind, *bits)).collect();
        let mut found = vec![Val::I32(0); results];
        Ok(match function.call(&mut self.store, &arguments, &mut found) {
            Ok(()) => Ok(found.iter().map(pattern).collect()),
            Err(error) => Err(error.downcast_ref::<Trap>().copied()),
        })
    }
}

/// Returns an argument, often one at the border of its type.
fn argument(random: &mut fastrand::Rng, kind: &ValType) -> u64 {
    const BORDERS: [u64; 10] =
        [0, 1, u64::MAX, 1 << 31, (1 << 31) - 1, 1 << 63, 0x7ff0_0000_0000_0000, 0x3f80_0000, 65_535, 65_536];
    let bits = if random.bool() { BORDERS[random.usize(..BORDERS.len())] } else { random.u64(..) };
    match kind {
        ValType::I32 | ValType::F32 => bits & 0xffff_ffff,
        ValType::Ref(_) => 0,
        _ => bits,
    }
}

fn value(kind: &ValType, bits: u64) -> Val {
    match kind {
        ValType::I32 => Val::I32((bits as u32).cast_signed()),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 => Val::F64(bits),
        ValType::Ref(reference) if reference.heap_type().is_func() => Val::FuncRef(None),
        ValType::Ref(_) => Val::ExternRef(None),
        _ => Val::I64(bits.cast_signed()),
    }
}

/// Returns the pattern of a value.
fn pattern(value: &Val) -> Pattern {
    use wasmparser::ValType as Type;
    match value {
        Val::I32(value) => Pattern::exact(Type::I32, value.cast_unsigned().into()),
        Val::I64(value) => Pattern::exact(Type::I64, value.cast_unsigned()),
        Val::F32(bits) => Pattern::exact(Type::F32, (*bits).into()),
        Val::F64(bits) => Pattern::exact(Type::F64, *bits),
        Val::FuncRef(reference) => Pattern { of: None, mask: u64::MAX, value: reference.is_none().into() },
        _ => Pattern { of: None, mask: u64::MAX, value: 1 },
    }
}

/// Returns the kind of fault that a trap stands for.
pub fn kind_of(trap: Option<Trap>) -> Result<FaultKind> {
    Ok(match trap.context("wasmtime ends in an error that is no trap")? {
        Trap::UnreachableCodeReached => FaultKind::WasmUnreachable,
        Trap::MemoryOutOfBounds => FaultKind::WasmOutOfBoundsMemoryAccess,
        Trap::TableOutOfBounds => FaultKind::WasmOutOfBoundsTableAccess,
        Trap::IndirectCallToNull => FaultKind::WasmUninitializedElement,
        Trap::BadSignature => FaultKind::WasmIndirectCallTypeMismatch,
        Trap::IntegerDivisionByZero => FaultKind::WasmIntegerDivideByZero,
        Trap::IntegerOverflow => FaultKind::WasmIntegerOverflow,
        Trap::BadConversionToInteger => FaultKind::WasmInvalidConversionToInteger,
        other => bail!("wasmtime ends in {other:?}"),
    })
}
