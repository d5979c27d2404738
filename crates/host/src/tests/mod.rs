//! Snippets of machine code, called as modules in both domains.

mod budgets;
mod faults;
mod memory;
mod nested;
mod regions;
mod services;
mod user;
mod windows;

use std::cell::RefCell;
use std::rc::Rc;

use bareflow_abi::Reason;
use bareflow_loader::{
    Budget, Call, CallFailure, CallOutcome, Domain, FastExit, Fault, FaultKind, ImageSize, Name, Placement, Platform,
    Timing, WritableImage,
};

use crate::{HostPlatform, Image};

fn platform() -> HostPlatform {
    HostPlatform::new(Box::new(|_| ())).unwrap()
}

/// Returns a platform, and the lines that modules log.
fn listening() -> (HostPlatform, Rc<RefCell<Vec<String>>>) {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&lines);
    (HostPlatform::new(Box::new(move |line| sink.borrow_mut().push(line.to_string()))).unwrap(), lines)
}

const fn usual(domain: Domain) -> Placement {
    Placement { domain, budget: Budget::DEFAULT, services: u32::MAX }
}

/// Calls an image with input and output.
fn call_with(
    platform: &HostPlatform,
    image: &Image,
    input: &[u8],
    output: &mut [u8],
) -> Result<CallOutcome, CallFailure> {
    let name = Name::new("test").unwrap();
    let (entry, timing) = (image.segments.base, Timing::Fast);
    // SAFETY: the entry is the start of the image's text, which the test wrote.
    let call = unsafe { Call::new(&name, image, entry, Reason::Run as u32, input, timing) }.checked();
    platform.call(&call, output).map(|returned| returned.outcome)
}

fn call(platform: &HostPlatform, image: &Image) -> Result<i32, Fault> {
    match call_with(platform, image, &[], &mut []) {
        Ok(outcome) => Ok(outcome.result),
        Err(CallFailure::Fault(fault)) => Err(fault),
        Err(CallFailure::NoMemory) => panic!("no memory"),
    }
}

/// Places `code` as a module with a page of rodata and one of data, and calls it.
fn execute(platform: &HostPlatform, code: &[u8], placement: &Placement) -> Result<i32, Fault> {
    let image = place(platform, code, placement);
    let result = call(platform, &image);
    platform.release(image);
    result
}

fn place(platform: &HostPlatform, code: &[u8], placement: &Placement) -> Image {
    place_importer(platform, code, placement, false)
}

/// Places `code` as a module that imports `regions`, or does not.
fn place_importer(platform: &HostPlatform, code: &[u8], placement: &Placement, imports_regions: bool) -> Image {
    let size = ImageSize { text_bytes: code.len() as u32, rodata_bytes: 4096, data_bytes: 4096, alignment: 16 };
    let mut image = platform.allocate(size, placement).unwrap();
    let [text, _, data] = image.segments();
    text.copy_from_slice(code);
    assert!(data.iter().all(|&byte| byte == 0));
    data.fill(1);
    image.prepare_regions(|| imports_regions);
    platform.seal(image).unwrap()
}

/// `mov eax, 42; ret`
const RETURN_42: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3];

/// `jmp $`
const FOR_EVER: [u8; 2] = [0xeb, 0xfe];
