//! What the processes of the user domain leave behind, and what they inherit.
//! A process of its own, without other threads: what it has can be counted.

use std::error::Error;
use std::fs;

use bareflow_abi::Reason;
use bareflow_host::{HostPlatform, Image};
use bareflow_loader::{
    Budget, Call, CallError, Domain, Draft, Fault, FaultKind, ImageSize, Name, Placement, Platform, Timing,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let platform = HostPlatform::new(Box::new(|_| ()))?;
    leaves_nothing_behind(&platform)?;
    sees_nothing_of_its_parent(&platform)?;
    ends_with_its_image(platform)?;
    println!("all is well");
    Ok(())
}

/// `mov eax, 42; ret`, `ud2` and `jmp $`
const CODES: [&[u8]; 3] = [&[0xb8, 42, 0, 0, 0, 0xc3], &[0x0f, 0x0b], &[0xeb, 0xfe]];

fn place(platform: &HostPlatform, code: &[u8]) -> Outcome<(Image, u64)> {
    let placement =
        Placement { domain: Domain::User, budget: Budget { time_us: 5_000, ..Budget::DEFAULT }, services: u32::MAX };
    let size = ImageSize { text: code.len() as u32, rodata: 0, data: 4096, alignment: 16 };
    let mut draft = platform.reserve(size, &placement).map_err(|error| error.to_string())?;
    let [text, ..] = draft.segments();
    text.copy_from_slice(code);
    let base = draft.base();
    Ok((platform.seal(draft).map_err(|error| error.to_string())?, base))
}

fn call(platform: &HostPlatform, (image, entry): &(Image, u64)) -> Outcome<Result<i32, Fault>> {
    let module = Name::new("test").ok_or("a name")?;
    let call = Call {
        module: &module,
        image,
        entry: *entry,
        reason: Reason::Run,
        input: &[1; 100],
        timing: Timing::Fast,
        thorough: true,
    };
    match platform.call(&call, &mut [0; 100]) {
        Ok(returned) => Ok(Ok(returned.outcome.result)),
        Err(CallError::Fault(fault)) => Ok(Err(fault)),
        Err(CallError::NoMemory) => Err("no memory".into()),
    }
}

/// Descriptors, mappings, and children (also those that ended).
fn belongings() -> Outcome<(usize, usize, String)> {
    let maps = fs::read_to_string("/proc/self/maps")?.lines().filter(|line| !line.contains("[heap]")).count();
    let children = fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id()))?;
    Ok((fs::read_dir("/proc/self/fd")?.count(), maps, children))
}

fn leaves_nothing_behind(platform: &HostPlatform) -> Outcome<()> {
    let once = |code| -> Outcome<()> {
        let placed = place(platform, code)?;
        call(platform, &placed)?.ok();
        platform.release(placed.0);
        Ok(())
    };
    // The first ones have what stays: memory for tables.
    CODES.into_iter().try_for_each(once)?;
    let before = belongings()?;
    assert_eq!(before.2, "");
    for round in 0..100 {
        once(CODES[round % CODES.len()])?;
    }
    assert_eq!(belongings()?, before);
    Ok(())
}

/// What `mov rax, address; mov eax, [rax]; ret` returns.
fn read(platform: &HostPlatform, address: u64) -> Outcome<Result<i32, Fault>> {
    let code = [&[0x48, 0xb8][..], &address.to_le_bytes(), &[0x8b, 0x00, 0xc3]].concat();
    let placed = place(platform, &code)?;
    let result = call(platform, &placed)?;
    platform.release(placed.0);
    Ok(result)
}

fn sees_nothing_of_its_parent(platform: &HostPlatform) -> Outcome<()> {
    let secret = Box::new(0x1234_5678);
    let large = vec![7_u8; 1 << 20];
    let other = place(platform, CODES[0])?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let channel = maps.lines().find(|line| line.contains("/memfd:bareflow")).ok_or("a channel")?;
    let channel = u64::from_str_radix(channel.split('-').next().ok_or("its address")?, 16)?;
    for address in [(&raw const *secret).addr() as u64, large.as_ptr().addr() as u64 + 4096, channel, other.1] {
        let fault = read(platform, address)?.unwrap_err();
        assert_eq!((fault.kind, fault.address), (FaultKind::PageRead, Some(address)), "{address:#x}");
    }
    assert_eq!(call(platform, &other)?, Ok(42));
    platform.release(other.0);
    Ok(())
}

fn ends_with_its_image(platform: HostPlatform) -> Outcome<()> {
    let none = belongings()?;
    let images = [place(&platform, CODES[0])?, place(&platform, CODES[0])?];
    assert_eq!(belongings()?.2.split_whitespace().count(), 2);
    drop(images);
    assert_eq!(belongings()?.2, none.2);
    drop(platform);
    assert!(belongings()?.0 <= none.0);
    Ok(())
}
