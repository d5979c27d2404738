extern crate std;

use super::*;
use crate::serve_invoke;
use bareflow_abi::interface::{ArgumentKind, Piece, Status};
use bareflow_loader::diagnosis::ServiceLog;
use bareflow_loader::segments::is_within;
use bareflow_loader::{ImageSize, Segments};
use core::cell::{Cell, RefCell};
use std::vec::Vec;

/// A module whose words are all its data: arguments of a call from the first on, then a name, and room for output.
struct Module {
    segments: Segments,
    declared: u32,
    services: Cell<ServiceLog>,
    lines: RefCell<Vec<Vec<u8>>>,
}

const SIZE: u64 = 8192;
const NAME: u64 = 128;
const OUTPUT: u64 = 256;

impl Module {
    fn new(declared: u32) -> Module {
        let memory = Vec::<u64>::leak(std::vec![0; SIZE as usize / 8]);
        let base = memory.as_mut_ptr().expose_provenance() as u64;
        let size = ImageSize { text_bytes: 0, rodata_bytes: 0, data_bytes: 0, alignment: 16 };
        let (services, lines) = (Cell::new(ServiceLog::EMPTY), RefCell::default());
        Module { segments: Segments { base, size, heap_bytes: 0 }, declared, services, lines }
    }

    /// Writes the arguments of a call, at offsets, and makes it.
    fn call(&self, (name, name_length): (u64, usize), (output, capacity): (u64, usize)) -> Result<u64, Fault> {
        let base = self.segments.base;
        let words = [base + name, name_length as u64, 0, 0, base + output, capacity as u64];
        for (word, at) in words.into_iter().zip((base as usize..).step_by(8)) {
            // SAFETY: the module's memory is that long.
            unsafe { with_exposed_provenance_mut::<u64>(at).write(word) };
        }
        serve(self, SERVICE_CALL, [base, 0])
    }
}

// SAFETY: the memory is leaked, and nothing else has it.
unsafe impl RunningCall for Module {
    fn segments(&self) -> &Segments {
        &self.segments
    }
    fn stack_top(&self) -> u64 {
        0
    }
    fn guards(&self, _: u64) -> bool {
        false
    }
    fn readable(&self, address: u64, length: u64) -> Option<u64> {
        is_within(address, length, self.segments.base, SIZE).then_some(address)
    }
    fn writable(&self, address: u64, length: u64) -> Option<u64> {
        self.readable(address, length)
    }
    fn log_service(&self, call: ServiceCall) {
        let mut services = self.services.get();
        services.push(call);
        self.services.set(services);
    }
    fn services(&self) -> ServiceLog {
        self.services.get()
    }
}

// SAFETY: `call` uses only what it gets.
unsafe impl ServedCall for Module {
    fn declared(&self) -> u32 {
        self.declared
    }
    fn log(&self, line: &[u8]) {
        self.lines.borrow_mut().push(line.to_vec());
    }
    fn clock(&self) -> u64 {
        7
    }
    fn call(&self, name: &[u8], _: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        if name.is_empty() {
            return Err(CallRefusal::NotLoaded);
        }
        output.fill(1);
        Ok(CallOutcome { result: -5, output_length: output.len() })
    }
    fn grow(&self, pages: u64) -> u64 {
        pages + 1
    }
    fn shape(&self, import: u32, method: u32) -> Result<Shape, CallError> {
        match (import, method) {
            (0, 0) => Ok(METHOD),
            (0, _) => Err(CallError::NoSuchMethod),
            _ => Err(CallError::NotBound),
        }
    }
    fn invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        assert_eq!((import, method, frame.shape()), (0, 0, METHOD));
        // What a provider does that copies the first piece to the second, and appends three bytes.
        let mut read = Vec::new();
        frame.for_each_piece(|piece| match piece {
            Piece::Read(bytes) => read = bytes.to_vec(),
            Piece::Write(bytes) => bytes.iter_mut().zip(&read).for_each(|(target, byte)| *target = *byte),
            Piece::Append(_) => {}
        });
        let append = |_: &[u8], output: &mut [u8]| {
            output[8] = 3;
            Ok::<_, ()>(0)
        };
        frame.call_in_place(append).unwrap()
    }
}

/// The method that the module may call: bytes to read, bytes to write, a number, and room.
const METHOD: Shape =
    Shape::new(true, &[ArgumentKind::Slice, ArgumentKind::SliceMut, ArgumentKind::Scalar, ArgumentKind::Out]);

fn bad(address: u64) -> Result<u64, Fault> {
    Err(bad_argument(address))
}

#[test]
fn serves_what_a_module_declares_and_nothing_else() {
    let module = Module::new(OFFERED);
    let base = module.segments.base;
    assert_eq!(serve(&module, SERVICE_CLOCK, [1, 2]), Ok(7));
    assert_eq!(serve(&module, SERVICE_LOG, [base, 3]), Ok(0));
    assert_eq!(*module.lines.borrow(), [[0; 3]]);
    for service in [SERVICE_LOG, SERVICE_CLOCK, SERVICE_CALL] {
        let module = Module::new(!service);
        assert_eq!(serve(&module, service, [base, 3]).unwrap_err().kind, FaultKind::GeneralProtection);
        assert_eq!(module.services().calls().last().map(|call| call.service), Some(service));
    }
}

#[test]
fn logs_only_lines_that_are_the_modules_and_not_too_long() {
    let module = Module::new(OFFERED);
    let base = module.segments.base;
    assert_eq!(serve(&module, SERVICE_LOG, [0, 0]), Ok(0));
    assert_eq!(serve(&module, SERVICE_LOG, [base, MAX_LINE_BYTES as u64]), Ok(0));
    for (address, length) in [(base, MAX_LINE_BYTES as u64 + 1), (base + SIZE - 1, 2), (base - 1, 2), (base, u64::MAX)]
    {
        assert_eq!(serve(&module, SERVICE_LOG, [address, length]), bad(address));
    }
}

#[test]
fn calls_with_what_is_the_modules_and_does_not_overlap() {
    let module = Module::new(OFFERED);
    let base = module.segments.base;
    assert_eq!(module.call((NAME, 4), (OUTPUT, 16)), Ok(u64::from(CALL_OK)));
    // SAFETY: the module's memory is that long, and any bytes are arguments.
    let filled_in = unsafe { with_exposed_provenance_mut::<CallArguments<'_>>(base as usize).read() };
    assert_eq!((filled_in.result, filled_in.output_length), (-5, 16));
    assert_eq!(module.call((NAME, 0), (OUTPUT, 16)), Ok(CallRefusal::NotLoaded as u64));
    // An output right after the name, or none at all inside of it.
    assert_eq!(module.call((NAME, 4), (NAME + 4, 16)), Ok(u64::from(CALL_OK)));
    assert_eq!(module.call((NAME, 4), (NAME + 1, 0)), Ok(u64::from(CALL_OK)));
    for output in [0, size_of::<CallArguments<'_>>() as u64 - 1, NAME - 15, NAME + 3] {
        assert_eq!(module.call((NAME, 4), (output, 16)), bad(base + output));
    }
    assert_eq!(module.call((SIZE - 3, 4), (OUTPUT, 16)), bad(base + SIZE - 3));
    assert_eq!(module.call((NAME, 4), (SIZE - 15, 16)), bad(base + SIZE - 15));
    assert_eq!(serve(&module, SERVICE_CALL, [base + SIZE - 8, 0]), bad(base + SIZE - 8));
}

/// Makes a call of a method with these pieces, at offsets: to read, to write, room.
fn invoke(module: &Module, pieces: [(u64, u64); 3]) -> Result<Reply, Fault> {
    let base = module.segments.base;
    let [read, write, room] = pieces.map(|(at, length)| [base.wrapping_add(at), length]);
    let words = [read[0], read[1], write[0], write[1], 9, room[0], room[1]];
    for (word, at) in words.into_iter().zip((base as usize..).step_by(8)) {
        // SAFETY: the module's memory is that long.
        unsafe { with_exposed_provenance_mut::<u64>(at).write(word) };
    }
    serve_invoke(module, 0, base)
}

#[test]
fn calls_methods_with_what_is_the_modules_and_does_not_overlap() {
    let module = Module::new(OFFERED);
    let base = module.segments.base;
    let fine = [(128, 16), (256, 8), (512, 64)];
    assert_eq!(invoke(&module, fine), Ok(Reply { status: 0, value: 0 }));
    // SAFETY: the module's memory is that long.
    let room = unsafe { with_exposed_provenance_mut::<u64>(base as usize + 48).read() };
    assert_eq!(room, 3);
    let faults = [
        ([(SIZE - 15, 16), fine[1], fine[2]], base + SIZE - 15),
        ([(SIZE, 1), fine[1], fine[2]], base + SIZE),
        ([(0_u64.wrapping_sub(base), 1), fine[1], fine[2]], 0),
        ([(128, u64::MAX), fine[1], fine[2]], base + 128),
        ([(128, 1 << 63), fine[1], fine[2]], base + 128),
        ([fine[0], (SIZE - 1, 2), fine[2]], base + SIZE - 1),
        ([fine[0], (143, 8), fine[2]], base + 143),
        ([fine[0], (121, 8), fine[2]], base + 121),
        ([fine[0], fine[1], (263, 64)], base + 263),
        ([fine[0], fine[1], (128, 1)], base + 128),
        ([fine[0], fine[1], (512, SIZE)], base + 512),
    ];
    for (pieces, address) in faults {
        assert_eq!(invoke(&module, pieces), Err(bad_argument(address)), "{pieces:?}");
    }
    // Pieces that touch, one between two others, and empty ones anywhere.
    assert!(invoke(&module, [(128, 16), (144, 16), (160, 16)]).is_ok());
    assert!(invoke(&module, [(128, 16), (512, 8), (256, 64)]).is_ok());
    assert_eq!(invoke(&module, [(1 << 60, 0), (7, 0), (0, 0)]), Ok(Status::Failed(CallError::BadAnswer).into()));
}

#[test]
fn rejects_methods_and_words_that_are_not_there() {
    let module = Module::new(OFFERED);
    let base = module.segments.base;
    assert_eq!(serve_invoke(&module, 1, base), Ok(CallError::NoSuchMethod.into()));
    assert_eq!(serve_invoke(&module, u64::MAX, base), Ok(CallError::NotBound.into()));
    for address in [0, base - 8, base + SIZE - 48, u64::MAX - 7] {
        assert_eq!(serve_invoke(&module, 0, address), Err(bad_argument(address)));
    }
    let undeclared = Module::new(!SERVICE_INVOKE);
    assert_eq!(serve_invoke(&undeclared, 0, base).unwrap_err().kind, FaultKind::GeneralProtection);
    assert_eq!(undeclared.services().calls().last().map(|call| call.service), Some(SERVICE_INVOKE));
}
