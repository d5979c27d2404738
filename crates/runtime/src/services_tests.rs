extern crate std;

use super::*;
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
unsafe impl Provider for Module {
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
}

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
