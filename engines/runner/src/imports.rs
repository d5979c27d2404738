//! The functions that a program may import.

use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::CallRefusal;
use bareflow_abi::call::CALL_OK;
use bareflow_portable::imports::Import;
use wasmi::{Caller, Error, Func, Store, TrapCode};

use crate::arguments::{argument_read, argument_write};
use crate::fault::{Fault, Panic};
use crate::host::{Host, part, split};
use crate::invoke::invoke;

/// Makes the function of an import.
pub fn function(store: &mut Store<Host>, import: Import) -> Func {
    match import {
        Import::InputLength => Func::wrap(store, |mut caller: Caller<'_, Host>| -> u32 {
            caller.data_mut().context().map_or(0, |context| context.input().len() as u32)
        }),
        Import::InputRead => Func::wrap(store, input_read),
        Import::OutputWrite => Func::wrap(store, output_write),
        Import::Log => Func::wrap(store, log),
        Import::Clock => Func::wrap(store, |mut caller: Caller<'_, Host>| -> u64 {
            caller.data_mut().context().map_or(0, |context| context.clock())
        }),
        Import::Panic => Func::wrap(store, panic),
        Import::OutOfHeap => {
            Func::wrap(store, |_: Caller<'_, Host>| -> Result<(), Error> { Err(Error::host(Fault::OutOfHeap)) })
        }
        Import::Call => Func::wrap(store, call),
        Import::Invoke => Func::wrap(store, invoke),
        Import::ArgumentRead => Func::wrap(store, argument_read),
        Import::ArgumentWrite => Func::wrap(store, argument_write),
    }
}

fn input_read(mut caller: Caller<'_, Host>, offset: u32, to: u32, length: u32) -> Result<u32, Error> {
    let (memory, host) = split(&mut caller);
    let room = part(memory, to, length)?;
    let input = host.context().map_or(&[][..], |context| context.input());
    let rest = input.get(offset as usize..).unwrap_or_default();
    let count = rest.len().min(room.len());
    room[..count].copy_from_slice(&rest[..count]);
    Ok(count as u32)
}

fn output_write(mut caller: Caller<'_, Host>, from: u32, length: u32) -> Result<u32, Error> {
    let (memory, host) = split(&mut caller);
    let bytes = part(memory, from, length)?;
    Ok(host.context().map_or(0, |context| context.write(bytes) as u32))
}

fn log(mut caller: Caller<'_, Host>, text: u32, length: u32) -> Result<(), Error> {
    let (memory, host) = split(&mut caller);
    let line = String::from_utf8_lossy(part(memory, text, length)?);
    if let Some(context) = host.context() {
        context.log(&line);
    }
    Ok(())
}

fn panic(
    mut caller: Caller<'_, Host>,
    message: u32,
    message_length: u32,
    file: u32,
    file_length: u32,
    line: u32,
) -> Result<(), Error> {
    let (memory, _) = split(&mut caller);
    part(memory, message, message_length)?;
    part(memory, file, file_length)?;
    Err(Error::host(Fault::Panic(Panic { message: (message, message_length), file: (file, file_length), line })))
}

#[expect(clippy::too_many_arguments, reason = "the contract of portable modules")]
fn call(
    mut caller: Caller<'_, Host>,
    name: u32,
    name_length: u32,
    input: u32,
    input_length: u32,
    output: u32,
    output_capacity: u32,
    reply: u32,
) -> Result<u32, Error> {
    let (memory, host) = split(&mut caller);
    part(memory, reply, 8)?;
    // The three may overlap, and copies do not.
    let name = String::from_utf8_lossy(part(memory, name, name_length)?).into_owned();
    let mut copy = Vec::new();
    copy.try_reserve_exact(input_length as usize).map_err(|_| TrapCode::OutOfSystemMemory)?;
    copy.extend_from_slice(part(memory, input, input_length)?);
    let room = part(memory, output, output_capacity)?;
    let answer = host.context().map_or(Err(CallRefusal::NotDeclared), |context| context.call(&name, &copy, room));
    let reply = part(memory, reply, 8)?;
    match answer {
        Ok(answer) => {
            reply[..4].copy_from_slice(&(answer.output_length as u32).to_le_bytes());
            reply[4..].copy_from_slice(&answer.result.to_le_bytes());
            Ok(CALL_OK)
        }
        Err(refusal) => Ok(refusal as u32),
    }
}
