//! BareFlow in this process, and a manual load without any of its features.

use bareflow_abi::header::{HEADER_SIZE, Header, checksum_of};
use bareflow_abi::{Context, Services};
use bareflow_builder::discover::module_at;
use bareflow_builder::{Workspace, build_module};
use bareflow_host::HostPlatform;
use bareflow_loader::{KernelDomain, ModuleManager, Timing};

use crate::measure::Contender;
use crate::peers::BoxError;

/// The module manager of this process.
pub type Manager = ModuleManager<HostPlatform>;

/// The size of the page for the manual load, in bytes.
const PAGE: usize = 4096;

/// Returns a manager without modules.
pub fn manager() -> Result<Manager, BoxError> {
    // SAFETY: the blobs are built by the project.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    Ok(ModuleManager::with_kernel_domain(
        HostPlatform::new(Box::new(|line| println!("{line}")))?,
        Timing::Fast,
        trusted,
    ))
}

/// Returns the blob of one of the four modules, or of the empty module of the tests.
pub fn blob(workspace: &Workspace, name: &str) -> Result<Vec<u8>, BoxError> {
    if let Some(module) = workspace.modules.iter().find(|module| module.name == name) {
        return Ok(build_module(module, &workspace.target.join("modules"))?.bytes);
    }
    let manifest = workspace.root.join("tests/modules").join(name).join("Cargo.toml");
    Ok(build_module(&module_at(&manifest)?, &workspace.target.join("test-modules"))?.bytes)
}

/// Loads, calls and unloads a module.
pub fn loading<'a>(manager: &'a Manager, blob: &'a [u8]) -> Contender<'a> {
    Contender::new("BareFlow", move || {
        let id = manager.load(blob).unwrap_or_else(|error| panic!("{error}"));
        let result = manager.execute(id).unwrap_or_else(|error| panic!("{error}"));
        manager.unload(id).unwrap_or_else(|error| panic!("{error}"));
        result
    })
}

/// Copies the text to a page that is both writable and executable, and calls it.
///
/// There is no checksum, no validation, no registry, no containment and no measurement.
pub fn by_hand(blob: &[u8]) -> Result<Contender<'_>, BoxError> {
    let header = Header::from_bytes(blob.first_chunk::<HEADER_SIZE>().ok_or("no header")?);
    let text = blob.get(HEADER_SIZE..HEADER_SIZE + header.text_size as usize).ok_or("no text")?;
    if text.len() > PAGE || header.entry as usize >= text.len() {
        return Err("more text than a page, or no entry in it".into());
    }
    // SAFETY: a fresh mapping at an address of the system's choice, which is never unmapped.
    let page = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        match libc::mmap(std::ptr::null_mut(), PAGE, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) {
            libc::MAP_FAILED => return Err(std::io::Error::last_os_error().into()),
            page => page.cast::<u8>(),
        }
    };
    let entry = header.entry as usize;
    let services = Services::new(log, clock);
    Ok(Contender::new("a load by hand: copy, call", move || {
        let mut context = Context::new(&services, &[], &mut []);
        // SAFETY: the text fits into the page, as was checked; it is a module's without constants or data, whose entry
        // lies in it. The call's jump makes the processor fetch what was written (Intel SDM volume 3, 9.1.3).
        unsafe {
            page.copy_from_nonoverlapping(text.as_ptr(), text.len());
            let entry: extern "C" fn(*mut Context<'_>, u32) -> i32 = std::mem::transmute(page.add(entry));
            entry(&raw mut context, 0)
        }
    }))
}

extern "C" fn log(_: *mut Context<'_>, _: *const u8, _: usize) {}

extern "C" fn clock(_: *mut Context<'_>) -> u64 {
    0
}

/// Returns the blob with another module name.
pub fn renamed(blob: &[u8], name: &str) -> Vec<u8> {
    changed(blob.to_vec(), |header| {
        header.name = [0; 32];
        header.name[..name.len()].copy_from_slice(name.as_bytes());
    })
}

/// Returns the blob with `bytes` more bytes of constants.
pub fn padded(blob: &[u8], bytes: usize) -> Vec<u8> {
    let header = blob.first_chunk::<HEADER_SIZE>().map(Header::from_bytes);
    let at = header.map_or(0, |header| HEADER_SIZE + (header.text_size + header.rodata_size) as usize);
    let mut padded = blob.to_vec();
    padded.splice(at..at, (0..bytes).map(|byte| (byte * 7) as u8));
    changed(padded, |header| header.rodata_size += bytes as u32)
}

fn changed(mut blob: Vec<u8>, change: impl FnOnce(&mut Header)) -> Vec<u8> {
    if let Some(start) = blob.first_chunk_mut::<HEADER_SIZE>() {
        let mut header = Header::from_bytes(start);
        change(&mut header);
        *start = header.to_bytes();
    }
    if let Some(checksum) = checksum_of(&blob) {
        blob[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
    }
    blob
}
