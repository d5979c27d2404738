//! The modules that are made to hurt a compiler.

use bareflow_engine::EngineError;
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction, MemorySection,
    MemoryType, Module, TableSection, TypeSection, ValType,
};

/// The expected outcome: a blob, or this error.
pub type Expected = Result<(), EngineError>;

const TOO_LARGE: Expected = Err(EngineError::TooLarge);

/// Returns the modules: a description of each, and the outcome that is expected.
pub fn modules() -> Vec<(&'static str, Expected, Vec<u8>)> {
    let i32s = |count| [(count, ValType::I32)];
    let table = |elements| {
        with_functions(
            1,
            |code| _ = code.function(&returning()),
            |module| {
                let mut tables = TableSection::new();
                tables.table(wasm_encoder::TableType {
                    element_type: wasm_encoder::RefType::FUNCREF,
                    table64: false,
                    minimum: elements,
                    maximum: None,
                    shared: false,
                });
                module.section(&tables);
            },
        )
    };
    vec![
        ("50,000 locals", TOO_LARGE, one_function(&i32s(50_000), |body| conditions(body, 50_000, 50_000))),
        (
            "10,000 locals, 10,000 conditions",
            TOO_LARGE,
            one_function(&i32s(10_000), |body| conditions(body, 10_000, 10_000)),
        ),
        ("4,000 conditions by 500 locals", TOO_LARGE, one_function(&i32s(500), |body| conditions(body, 4_000, 500))),
        ("1,000 conditions by 100 locals", Ok(()), one_function(&i32s(100), |body| conditions(body, 1_000, 100))),
        ("1,400 conditions by 200 locals", Ok(()), one_function(&i32s(200), |body| conditions(body, 1_400, 200))),
        ("br_table of 1,000,000", TOO_LARGE, one_function(&[], |body| table_of(body, 1_000_000))),
        ("br_table of 40,000", Ok(()), one_function(&[], |body| table_of(body, 40_000))),
        ("nesting of 100,000", TOO_LARGE, one_function(&[], |body| nested(body, 100_000))),
        ("nesting of 4,999", Ok(()), one_function(&[], |body| nested(body, 4_999))),
        ("30,000 operands", TOO_LARGE, one_function(&[], |body| live_values(body, 30_000))),
        ("19,000 operands", Ok(()), one_function(&[], |body| live_values(body, 19_000))),
        ("5,000 live values", Ok(()), one_function(&[], |body| live_values(body, 5_000))),
        ("20,000 loads and stores", Ok(()), with_memory(1, &accesses(20_000))),
        ("60,000 loads and stores", TOO_LARGE, with_memory(1, &accesses(60_000))),
        ("function of 7.5 MB", TOO_LARGE, one_function(&i32s(1), |body| arithmetic(body, 7_500_000))),
        ("function of 0.7 MB", Ok(()), one_function(&i32s(1), |body| arithmetic(body, 700_000))),
        (
            "100,000 functions",
            Ok(()),
            with_functions(
                100_000,
                |code| {
                    (0..100_000).for_each(|_| _ = code.function(&returning()));
                },
                |_| {},
            ),
        ),
        ("memory of 65,536 pages", TOO_LARGE, with_memory(65_536, &returning())),
        ("table of 10,000,000", TOO_LARGE, table(10_000_000)),
        ("table of 4,000,000", Ok(()), table(4_000_000)),
    ]
}

/// Returns a module with one function, `run`.
fn one_function(locals: &[(u32, ValType)], body: impl FnOnce(&mut Function)) -> Vec<u8> {
    let mut function = Function::new(locals.iter().copied());
    body(&mut function);
    function.instruction(&Instruction::I32Const(0)).instruction(&Instruction::End);
    with_functions(1, |code| _ = code.function(&function), |_| {})
}

/// Returns a module with functions of type `() -> i32`, of which the first is `run`.
fn with_functions(count: u32, bodies: impl FnOnce(&mut CodeSection), more: impl FnOnce(&mut Module)) -> Vec<u8> {
    let (mut types, mut functions, mut exports) = (TypeSection::new(), FunctionSection::new(), ExportSection::new());
    types.ty().function([], [ValType::I32]);
    for _ in 0..count {
        functions.function(0);
    }
    exports.export("run", ExportKind::Func, 0);
    let (mut code, mut module) = (CodeSection::new(), Module::new());
    bodies(&mut code);
    module.section(&types).section(&functions);
    more(&mut module);
    module.section(&exports).section(&code);
    module.finish()
}

/// Emits `count` conditions, each of which sets one of the locals.
fn conditions(function: &mut Function, count: u32, locals: u32) {
    use Instruction::{Block, BrIf, End, I32Add, I32Const, LocalGet, LocalSet};
    function.instruction(&Instruction::Loop(BlockType::Empty));
    for number in 0..count {
        let local = number % locals;
        function.instruction(&Block(BlockType::Empty)).instruction(&LocalGet(local)).instruction(&BrIf(0));
        function.instruction(&LocalGet((local + 1) % locals)).instruction(&I32Const(1)).instruction(&I32Add);
        function.instruction(&LocalSet(local)).instruction(&End);
    }
    function.instruction(&LocalGet(0)).instruction(&BrIf(0)).instruction(&End);
}

/// Emits a sum of so many values that all live at once, in a loop.
fn live_values(function: &mut Function, count: u32) {
    use Instruction::{BrIf, Call, Drop, End, I32Add, I32Const, Loop};
    (0..count).for_each(|_| _ = function.instruction(&Call(0)));
    function.instruction(&Loop(BlockType::Empty)).instruction(&I32Const(0)).instruction(&BrIf(0)).instruction(&End);
    (1..count).for_each(|_| _ = function.instruction(&I32Add));
    function.instruction(&Drop);
}

fn nested(function: &mut Function, count: u32) {
    (0..count).for_each(|_| _ = function.instruction(&Instruction::Block(BlockType::Empty)));
    (0..count).for_each(|_| _ = function.instruction(&Instruction::End));
}

fn table_of(function: &mut Function, targets: u32) {
    function.instruction(&Instruction::Block(BlockType::Empty)).instruction(&Instruction::I32Const(0));
    function.instruction(&Instruction::BrTable(vec![0; targets as usize].into(), 0));
    function.instruction(&Instruction::End);
}

fn arithmetic(function: &mut Function, bytes: u32) {
    function.instruction(&Instruction::Call(0));
    for _ in 0..bytes / 3 {
        function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::I32Add);
    }
    function.instruction(&Instruction::LocalSet(0));
}

/// Returns a function that moves so many numbers, each to an address that it loads.
fn accesses(count: u32) -> Function {
    use Instruction::{End, I32Load, I32Store, LocalGet, LocalSet};
    let mut body = Function::new([(1, ValType::I32)]);
    let memarg = wasm_encoder::MemArg { offset: 8, align: 2, memory_index: 0 };
    for _ in 0..count {
        body.instruction(&LocalGet(0)).instruction(&I32Load(memarg)).instruction(&LocalSet(0));
        body.instruction(&LocalGet(0)).instruction(&LocalGet(0)).instruction(&I32Store(memarg));
    }
    body.instruction(&LocalGet(0)).instruction(&End);
    body
}

/// Returns a module with a memory of so many pages.
fn with_memory(minimum: u64, run: &Function) -> Vec<u8> {
    let add_memory = |module: &mut Module| {
        let mut memories = MemorySection::new();
        let (maximum, memory64, shared, page_size_log2) = (None, false, false, None);
        memories.memory(MemoryType { minimum, maximum, memory64, shared, page_size_log2 });
        module.section(&memories);
    };
    with_functions(1, |code| _ = code.function(run), add_memory)
}

/// Returns the body of a function that returns 0.
fn returning() -> Function {
    let mut body = Function::new([]);
    body.instruction(&Instruction::I32Const(0)).instruction(&Instruction::End);
    body
}
