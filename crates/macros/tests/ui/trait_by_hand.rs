use bareflow_abi::CallError;
use bareflow_abi::interface::{Arguments, Interface, Port, Serve, Signature, bindings::Method};

pub trait Clock {}

impl Interface for dyn Clock {
    const NAME: &'static str = "clock";
    const VERSION: (u16, u16) = (1, 0);
    const SIGNATURES: &'static [Signature] = &[];
    const METHODS: &'static [Method] = &[];
    const TEXT: &'static str = "";
    type Client<'call> = ();

    fn client(_: Port<'_, dyn Clock>) {}
}

impl Serve<u32> for dyn Clock {
    fn serve(_: &mut u32, arguments: &Arguments<'_>) -> Result<u32, CallError> {
        let mut words = arguments.words::<4>()?;
        let [first, second] = [words.slice_mut::<u8>()?, words.slice_mut::<u8>()?];
        first.swap_with_slice(second);
        Ok(0)
    }

    fn serve_shared(_: &u32, _: &Arguments<'_>) -> Result<u32, CallError> {
        Ok(0)
    }
}

fn main() {}
