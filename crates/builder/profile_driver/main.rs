//! `profile_driver INPUT CALLS HEAP INIT`: calls the module that is linked into this program and that counts what its code
//! does.

use bareflow_abi::driver::call;
use bareflow_abi::{Context, Reason, Services};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let input = arguments.next().and_then(|path| std::fs::read(path).ok()).expect("an input");
    let mut number = || arguments.next().and_then(|text| text.parse::<usize>().ok()).expect("a number");
    let (calls, heap, init) = (number(), number(), number() != 0);
    let mut heap = vec![0_u64; heap.div_ceil(8)];
    let (address, size) = (heap.as_mut_ptr() as u64, heap.len() as u64 * 8);
    let mut output = vec![0; 256 << 10];
    let mut enter = |reason| {
        let mut context = Context::new(&Services::NONE, &input, &mut output).with_heap(address, size);
        call(&mut context, reason)
    };
    if init {
        enter(Reason::Init);
    }
    for _ in 0..calls {
        enter(Reason::Run);
    }
}
