//! Resources that the processes of the user domain leave behind, and those that they inherit.
//!
//! This test is a process of its own, without other threads, so that its resources can be counted.

use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bareflow_abi::Reason;
use bareflow_host::{HostPlatform, Image};
use bareflow_loader::{
    Budget, Call, CallFailure, Domain, Fault, FaultKind, ImageSize, Name, Placement, Platform, Timing, WritableImage,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let platform = HostPlatform::new(Box::new(|_| ()))?;
    for imports_regions in [false, true] {
        IMPORT_REGIONS.store(imports_regions, Ordering::Relaxed);
        leaves_nothing_behind(&platform)?;
        rejects_a_module_when_descriptors_run_out(&platform)?;
        sees_nothing_of_its_parent(&platform)?;
        finds_no_secret(&platform)?;
    }
    finds_no_others_stack(&platform)?;
    ends_with_its_image(platform)?;
    println!("all is well");
    Ok(())
}

/// Whether the modules of the user domain import `regions`.
static IMPORT_REGIONS: AtomicBool = AtomicBool::new(false);

/// `mov eax, 42; ret`, `ud2` and `jmp $`
const CODES: [&[u8]; 3] = [&[0xb8, 42, 0, 0, 0, 0xc3], &[0x0f, 0x0b], &[0xeb, 0xfe]];

fn place(platform: &HostPlatform, code: &[u8]) -> Outcome<(Image, u64)> {
    place_in(platform, code, Domain::User)
}

fn place_in(platform: &HostPlatform, code: &[u8], domain: Domain) -> Outcome<(Image, u64)> {
    let placement = Placement { domain, budget: Budget { time_us: 5_000, ..Budget::DEFAULT }, services: u32::MAX };
    let size = ImageSize { text_bytes: code.len() as u32, rodata_bytes: 0, data_bytes: 4096, alignment: 16 };
    let mut image = platform.allocate(size, &placement).map_err(|error| error.to_string())?;
    let [text, ..] = image.segments();
    text.copy_from_slice(code);
    let base = image.base();
    image.prepare_regions(|| IMPORT_REGIONS.load(Ordering::Relaxed));
    Ok((platform.seal(image).map_err(|error| error.to_string())?, base))
}

fn call(platform: &HostPlatform, (image, entry): &(Image, u64)) -> Outcome<Result<i32, Fault>> {
    let module = Name::new("test").ok_or("a name")?;
    // SAFETY: the entry is the start of the image's text, which the test wrote.
    let call = unsafe { Call::new(&module, image, *entry, Reason::Run as u32, &[1; 100], Timing::Fast) }.checked();
    match platform.call(&call, &mut [0; 100]) {
        Ok(returned) => Ok(Ok(returned.outcome.result)),
        Err(CallFailure::Fault(fault)) => Ok(Err(fault)),
        Err(CallFailure::NoMemory) => Err("no memory".into()),
    }
}

/// Returns the numbers of descriptors and mappings, and the children (including those that have ended).
fn belongings() -> Outcome<(usize, usize, String)> {
    let maps = fs::read_to_string("/proc/self/maps")?.lines().filter(|line| !line.contains("[heap]")).count();
    let children = fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id()))?;
    Ok((fs::read_dir("/proc/self/fd")?.count(), maps, children))
}

fn leaves_nothing_behind(platform: &HostPlatform) -> Outcome<()> {
    let once = |code| -> Outcome<()> {
        let (placed, region) =
            (place(platform, code)?, platform.allocate_region(2).map_err(|error| error.to_string())?);
        let is_mapped = platform.map_region(&region, &placed.0, true).is_ok();
        assert_eq!(is_mapped, IMPORT_REGIONS.load(Ordering::Relaxed));
        call(platform, &placed)?.ok();
        platform.unmap_region(&region, &placed.0);
        platform.free_region(region);
        platform.release(placed.0);
        Ok(())
    };
    // The first ones allocate memory for tables, which stays.
    CODES.into_iter().try_for_each(once)?;
    let before = belongings()?;
    assert_eq!(before.2, "");
    for round in 0..100 {
        once(CODES[round % CODES.len()])?;
    }
    assert_eq!(belongings()?, before);
    Ok(())
}

/// Checks that a module is refused when there is a descriptor short of what its process takes, and leaves nothing.
fn rejects_a_module_when_descriptors_run_out(platform: &HostPlatform) -> Outcome<()> {
    let before = belongings()?;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the system writes the limit.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    let set = |soft| {
        let limit = libc::rlimit { rlim_cur: soft, ..limit };
        // SAFETY: the system reads the limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    };
    // The channel and the list of its mappings, which the process reads; and two ends of a socket, to map regions.
    let takes = if IMPORT_REGIONS.load(Ordering::Relaxed) { 4 } else { 2 };
    let first = fs::File::open("/dev/null")?.as_raw_fd() as libc::rlim_t;
    let mut refused = 0;
    for limited in first.. {
        set(limited);
        let placed = place(platform, CODES[0]);
        set(limit.rlim_cur);
        match placed {
            Ok(placed) => {
                assert_eq!(call(platform, &placed)?, Ok(42));
                platform.release(placed.0);
                break;
            }
            Err(error) => assert!(error.to_string().contains("a module's process"), "{error}"),
        }
        assert_eq!(belongings()?, before);
        refused += 1;
        assert!(limited < limit.rlim_cur, "refused without a limit");
    }
    assert!(refused >= takes, "{refused}");
    Ok(())
}

/// Returns the result of `mov rax, address; mov eax, [rax]; ret`.
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

/// A value that stands for a secret, in various kinds of memory.
const SECRET: u32 = 0x5ec2_e7a5;
static INITIALISED: AtomicU32 = AtomicU32::new(SECRET);
static WRITTEN: AtomicU32 = AtomicU32::new(0);
thread_local! {
    static THREADS: Cell<u32> = const { Cell::new(0) };
}

/// Checks that a module finds none of the parent's secrets, wherever they are.
fn finds_no_secret(platform: &HostPlatform) -> Outcome<()> {
    WRITTEN.store(SECRET, Ordering::Relaxed);
    THREADS.set(SECRET);
    let local = [SECRET; 4096];
    let boxed = Box::new(SECRET);
    // A file that is mapped privately, as libraries are.
    let path = std::env::temp_dir().join(format!("bareflow-secret-{}", std::process::id()));
    fs::write(&path, SECRET.to_ne_bytes())?;
    let file = fs::File::open(&path)?;
    fs::remove_file(&path)?;
    let (rights, kind) = (libc::PROT_READ, libc::MAP_PRIVATE);
    // SAFETY: the system chooses the address, so nothing is replaced.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, rights, kind, file.as_raw_fd(), 0) };
    assert_ne!(mapped, libc::MAP_FAILED);
    // The environment, on the main thread's stack, and the list that shows where it is.
    let stack = fs::read_to_string("/proc/self/maps")?;
    let stack = stack.lines().find(|line| line.contains("[stack]")).ok_or("a stack")?;
    let top = u64::from_str_radix(stack.split(['-', ' ']).nth(1).ok_or("its end")?, 16)?;
    let guard: u64;
    // SAFETY: the word is this thread's; its C library keeps the stack guard's secret there.
    unsafe { std::arch::asm!("mov {}, fs:[0x28]", out(reg) guard, options(nostack, readonly, preserves_flags)) };
    assert!(guard != 0 || cfg!(target_env = "musl"));
    let thread: u64;
    // SAFETY: the word at FS:0 contains its own address (System V ABI 3.4.6).
    unsafe { std::arch::asm!("mov {}, fs:[0]", out(reg) thread, options(nostack, readonly, preserves_flags)) };
    // What others share.
    let region = platform.allocate_region(1).map_err(|error| error.to_string())?;
    // SAFETY: the region is mapped, and nothing else uses it.
    unsafe { std::ptr::with_exposed_provenance_mut::<u32>(region.address as usize).write_volatile(SECRET) };
    let places = [
        ("region", region.address),
        ("initialised", (&raw const INITIALISED).addr() as u64),
        ("written", (&raw const WRITTEN).addr() as u64),
        ("thread's", THREADS.with(|secret| secret.as_ptr().addr() as u64)),
        ("local", (&raw const local[100]).addr() as u64),
        ("boxed", (&raw const *boxed).addr() as u64),
        ("mapped", mapped.addr() as u64),
        ("environment", top - 64),
        ("guard", thread + 0x28),
    ];
    for (name, address) in places {
        match read(platform, address)? {
            Ok(found) => assert_eq!(found, 0, "{name}"),
            Err(fault) => assert_eq!((fault.kind, fault.address), (FaultKind::PageRead, Some(address)), "{name}"),
        }
    }
    platform.free_region(region);
    // SAFETY: mapped above.
    unsafe { libc::munmap(mapped, 4096) };
    Ok(())
}

/// Checks that a module in a process does not find what a module of the kernel domain left on the stack.
fn finds_no_others_stack(platform: &HostPlatform) -> Outcome<()> {
    // mov dword ptr [rsp - 0x40], SECRET; ret, and: mov eax, [rsp - 0x40]; ret
    let leave = [&[0xc7, 0x44, 0x24, 0xc0][..], &SECRET.to_le_bytes(), &[0xc3]].concat();
    let find = [0x8b, 0x44, 0x24, 0xc0, 0xc3];
    for domain in [Domain::Kernel, Domain::User] {
        let left = place_in(platform, &leave, Domain::Kernel)?;
        call(platform, &left)?.map_err(|fault| fault.to_string())?;
        platform.release(left.0);
        let finder = place_in(platform, &find, domain)?;
        let found = call(platform, &finder)?.map_err(|fault| fault.to_string())?;
        // In the kernel domain the value is found, which shows that this check can fail.
        assert_eq!(found.cast_unsigned() == SECRET, domain == Domain::Kernel);
        platform.release(finder.0);
    }
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
