//! The commands, each a line of words. The result is what a command returns, or the negative number of the error.

use core::fmt::Write;
use core::ptr::with_exposed_provenance;

use bareflow_abi::{Context, Failure};
use bareflow_regions::{Access, RegionError, Regions, RegionsClient, View};

bareflow_abi::module!(run, imports = { regions: Regions });

/// The result for what is no command.
const UNKNOWN: i32 = -1000;

fn access(word: &str) -> Access {
    match word {
        "exclusive" => Access::Exclusive,
        "read-only" => Access::ReadOnly,
        _ => Access::Shared,
    }
}

/// Does each line of the input; the last result counts.
pub fn run(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let text = core::str::from_utf8(context.input()).unwrap_or_default();
    let mut result = UNKNOWN;
    for line in text.lines() {
        result = command(context, with.regions, line).unwrap_or_else(|error| {
            if let RegionError::Call(error) = error { -256 - error as i32 } else { -(error.number() as i32) }
        });
    }
    result
}

fn command(context: &mut Context<'_>, mut regions: RegionsClient<'_>, line: &str) -> Result<i32, RegionError> {
    let mut words = line.splitn(4, ' ');
    let mut next = || words.next().unwrap_or_default();
    let (name, first, second, third) = (next(), next(), next(), next());
    let region: u32 = first.parse().unwrap_or(u32::MAX);
    match name {
        "create" => return regions.create(first.parse().unwrap_or(u64::MAX)).map(|number| number as i32),
        "destroy" => regions.destroy(region)?,
        "lend" => regions.lend(region, second, access(third))?,
        "take_back" => regions.take_back(region)?,
        "give_back" => regions.give_back(region)?,
        "write" => match access(second) {
            Access::Shared => _ = regions.shared(region)?.bytes().write(0, third.as_bytes()),
            _ => regions.exclusive(region)?[..third.len()].copy_from_slice(third.as_bytes()),
        },
        // Reads as many bytes as the number says.
        "read" => {
            let mut copy = [0; 64];
            let copy = &mut copy[..third.parse::<usize>().unwrap_or(0).min(64)];
            match access(second) {
                Access::Shared => _ = regions.shared(region)?.bytes().read(0, copy),
                Access::ReadOnly => copy.copy_from_slice(&regions.read_only(region)?[..copy.len()]),
                Access::Exclusive => copy.copy_from_slice(&regions.exclusive(region)?[..copy.len()]),
            }
            context.write(copy);
        }
        // Logs that many bytes from where they are.
        "log" => {
            let length = third.parse().unwrap_or(0);
            match access(second) {
                Access::ReadOnly => {
                    context.log(core::str::from_utf8(&regions.read_only(region)?[..length]).unwrap_or("?"))
                }
                _ => context.log(core::str::from_utf8(&regions.exclusive(region)?[..length]).unwrap_or("?")),
            }
        }
        // Has its place written into the region itself, by a call that writes there.
        "self" => {
            let mut own = regions.exclusive(region)?;
            let other = regions.create(1)?;
            // SAFETY: the region is aligned, larger than a view, and open.
            let view = unsafe { &mut *own.as_mut_ptr().cast::<View>() };
            regions.open(other, Access::Exclusive, view)?;
            let View { bytes, key, .. } = *view;
            regions.close(other, key)?;
            return Ok(bytes as i32);
        }
        // Says where a region lies, which it leaves open if there is another word.
        "place" => {
            let mut view = View::default();
            regions.open(region, access(second), &mut view)?;
            if third.is_empty() {
                regions.close(region, view.key)?;
            }
            _ = write!(context, "{}", view.address);
        }
        // Reads a byte at an address, or logs it, whether or not it may.
        "touch" => {
            let address = first.parse().unwrap_or(0);
            // SAFETY: none: this is what the embedder has to withstand.
            return Ok(unsafe { with_exposed_provenance::<u8>(address).read_volatile() }.into());
        }
        "poke" => {
            let address = first.parse().unwrap_or(0);
            // SAFETY: none, as above.
            unsafe { core::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(b'!') };
        }
        "pass" => {
            let address = first.parse().unwrap_or(0);
            // SAFETY: none, as above.
            let bytes = unsafe { core::slice::from_raw_parts(with_exposed_provenance(address), 1) };
            // SAFETY: none, as above.
            context.log(unsafe { core::str::from_utf8_unchecked(bytes) });
        }
        // Calls the module `owner` with the rest of the line.
        "owner" => {
            let rest = line.split_once(' ').unwrap_or_default().1;
            return Ok(super::call_owner(context, rest.as_bytes()).unwrap_or(UNKNOWN));
        }
        _ => return Ok(UNKNOWN),
    }
    Ok(0)
}
