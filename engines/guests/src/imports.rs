//! The imports, as functions of wasmi.

use bareflow_portable::imports::MODULE;
use wasmi::errors::LinkerError;
use wasmi::{Caller, Error, Extern, Linker};

use crate::{Ending, Host, arguments};

type Call<'call> = Caller<'call, Host>;

/// Defines all imports.
pub(crate) fn define(linker: &mut Linker<Host>) -> Result<(), LinkerError> {
    linker.func_wrap(MODULE, "input_length", |call: Call<'_>| call.data().input.len() as u32)?;
    linker.func_wrap(MODULE, "input_read", input_read)?;
    linker.func_wrap(MODULE, "output_write", output_write)?;
    linker.func_wrap(MODULE, "argument_read", argument_read)?;
    linker.func_wrap(MODULE, "argument_write", argument_write)?;
    linker.func_wrap(MODULE, "panic", panic)?;
    linker.func_wrap(MODULE, "out_of_heap", |mut call: Call<'_>| -> Result<(), Error> {
        Err(end(&mut call, Ending::OutOfHeap))
    })?;
    linker.func_wrap(MODULE, "log", log)?;
    linker.func_wrap(MODULE, "clock", |mut call: Call<'_>| {
        call.data_mut().ticks += 1;
        call.data().ticks
    })?;
    linker.func_wrap(MODULE, "call", call_module)?;
    linker.func_wrap(MODULE, "invoke", invoke)?;
    Ok(())
}

fn end(call: &mut Call<'_>, ending: Ending) -> Error {
    let said = format!("{ending:?}");
    call.data_mut().ending = Some(ending);
    Error::new(said)
}

/// Returns linear memory and the host's side.
fn memory<'call>(call: &'call mut Call<'_>) -> Result<(&'call mut [u8], &'call mut Host), Error> {
    let memory = call.get_export("memory").and_then(Extern::into_memory);
    Ok(memory.ok_or_else(|| Error::new("no memory"))?.data_and_store_mut(call))
}

/// Returns so many bytes of linear memory.
fn range(memory: &mut [u8], start: u32, length: u32) -> Result<&mut [u8], Error> {
    let end = (start as usize).checked_add(length as usize);
    let bytes = end.and_then(|end| memory.get_mut(start as usize..end));
    bytes.ok_or_else(|| Error::new(format!("out of bounds: {length} bytes at {start:#x}")))
}

/// Copies from `source` at `offset`, as much as there is. Returns how much.
fn copy(source: &[u8], offset: u32, to: &mut [u8]) -> u32 {
    let rest = source.get(offset as usize..).unwrap_or_default();
    let count = rest.len().min(to.len());
    to[..count].copy_from_slice(&rest[..count]);
    count as u32
}

fn text(memory: &mut [u8], start: u32, length: u32) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(range(memory, start, length)?).into_owned())
}

fn input_read(mut call: Call<'_>, offset: u32, to: u32, length: u32) -> Result<u32, Error> {
    let (memory, host) = memory(&mut call)?;
    Ok(copy(&host.input, offset, range(memory, to, length)?))
}

fn output_write(mut call: Call<'_>, from: u32, length: u32) -> Result<u32, Error> {
    let (memory, host) = memory(&mut call)?;
    let bytes = range(memory, from, length)?;
    let count = bytes.len().min(host.room - host.output.len());
    host.output.extend_from_slice(&bytes[..count]);
    Ok(count as u32)
}

fn argument_read(mut call: Call<'_>, argument: u32, offset: u32, to: u32, length: u32) -> Result<u32, Error> {
    let (memory, host) = memory(&mut call)?;
    let source = host.arguments.get(argument as usize).ok_or_else(|| Error::new("no such argument"))?;
    Ok(copy(source.readable(), offset, range(memory, to, length)?))
}

fn argument_write(mut call: Call<'_>, argument: u32, offset: u32, from: u32, length: u32) -> Result<u32, Error> {
    let (memory, host) = memory(&mut call)?;
    let bytes = range(memory, from, length)?;
    let target = host.arguments.get_mut(argument as usize).ok_or_else(|| Error::new("no such argument"))?;
    let target = target.writable().get_mut(offset as usize..).unwrap_or_default();
    Ok(copy(bytes, 0, target))
}

fn panic(mut call: Call<'_>, message: u32, length: u32, file: u32, file_length: u32, line: u32) -> Result<(), Error> {
    let (memory, _) = memory(&mut call)?;
    let ending = Ending::Panic(text(memory, message, length)?, text(memory, file, file_length)?, line);
    Err(end(&mut call, ending))
}

fn log(mut call: Call<'_>, start: u32, length: u32) -> Result<(), Error> {
    let (memory, host) = memory(&mut call)?;
    host.log.push(text(memory, start, length)?);
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the import's own")]
fn call_module(
    mut call: Call<'_>,
    name: u32,
    name_length: u32,
    input: u32,
    input_length: u32,
    output: u32,
    capacity: u32,
    reply: u32,
) -> Result<u32, Error> {
    let (memory, host) = memory(&mut call)?;
    let (name, input) = (text(memory, name, name_length)?, range(memory, input, input_length)?.to_vec());
    match (host.answer)(&name, &input) {
        Ok((result, written)) => {
            let count = copy(&written, 0, range(memory, output, capacity)?);
            let reply = range(memory, reply, 8)?;
            reply[..4].copy_from_slice(&count.to_le_bytes());
            reply[4..].copy_from_slice(&result.to_le_bytes());
            Ok(0)
        }
        Err(refusal) => Ok(refusal),
    }
}

fn invoke(mut call: Call<'_>, import_and_method: u64, words: u32, reply: u32) -> Result<u32, Error> {
    let (memory, host) = memory(&mut call)?;
    let (import, method) = ((import_and_method >> 32) as usize, import_and_method as u32);
    let (interface, shapes) = host.imports.get(import).ok_or_else(|| Error::new("no such import"))?.clone();
    let shape = *shapes.get(method as usize).ok_or_else(|| Error::new("no such method"))?;
    let place = words;
    let bytes = range(memory, place, shape.words() as u32 * 8)?;
    let mut words: Vec<_> =
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default())).collect();
    let mut arguments =
        arguments::copy(shape, &words, memory).ok_or_else(|| Error::new("an argument leads out of the memory"))?;
    let answer = (host.provide)(&interface, method, &mut arguments);
    arguments::give_back(&arguments, &mut words, memory);
    range(memory, place, words.len() as u32 * 8)?
        .copy_from_slice(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
    range(memory, reply, 8)?.copy_from_slice(&answer.value.to_le_bytes());
    Ok(answer.status as u32)
}
