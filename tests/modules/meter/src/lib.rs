//! Provides [`Meter`].

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Out};
use meter_interface::{Meter, Plain};

bareflow_abi::module!(exports = [Meter], provider = Server);

impl Meter for Server<'_> {
    fn add(&mut self, a: u64, b: u64) -> Result<u64, CallError> {
        Plain.add(a, b)
    }

    fn one(&mut self, bytes: &[u8]) -> Result<u64, CallError> {
        Plain.one(bytes)
    }

    fn two(&mut self, first: &[u8], second: &[u8]) -> Result<u64, CallError> {
        Plain.two(first, second)
    }

    fn fill(&mut self, room: &mut Out<'_, u8>) -> Result<(), CallError> {
        Plain.fill(room)
    }
}
