//! The compiler as a module, compared with its library: the same bytes, wherever it runs.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use bareflow_abi::Out;
use bareflow_abi::header::{HEADER_SIZE, Header};
use bareflow_engine::{CHECKED, Engine, Options, QUICK, SPEED, WINDOW};
use bareflow_host::HostPlatform;
use bareflow_loader::{Budget, Domain, KernelDomain, LoadOptions, ModuleManager, Timing};
use bareflow_translator::{Bounds, Optimization, translate};

/// The bytes of a blob that are read at once.
const PIECE: usize = 256 << 10;

/// Compiles files by the module `compiler` in each domain. Returns whether all blobs are the library's.
pub fn run(compiler: &Path, files: &[PathBuf]) -> Result<bool> {
    let compiler = std::fs::read(compiler).with_context(|| format!("{}", compiler.display()))?;
    let header = compiler.first_chunk::<HEADER_SIZE>().context("the compiler is no module")?;
    let header = Header::from_bytes(header);
    let name = String::from_utf8_lossy(header.name_bytes()).into_owned();
    let mut is_same = true;
    for domain in [Domain::Kernel, Domain::User] {
        let platform = HostPlatform::new(Box::new(|_| {}))?;
        // SAFETY: whoever runs this vouches for the compiler that they name.
        let trusted = unsafe { KernelDomain::trust_all_blobs() };
        let manager = ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted);
        let limits = Budget { heap_bytes: 64 << 20, ..Budget::LIMITS };
        manager.load_with(&compiler, &LoadOptions { domain, limits, ..LoadOptions::DEFAULT })?;
        let bound = manager.bind::<dyn Engine>(&name)?;
        let mut engine = bound.client();
        for (file, (optimization, bounds)) in
            files.iter().flat_map(|file| [(QUICK, CHECKED), (SPEED, CHECKED), (SPEED, WINDOW)].map(|kind| (file, kind)))
        {
            let wasm = std::fs::read(file)?;
            let options = Options { optimization, bounds, ..Options::DEFAULT };
            let start = Instant::now();
            let found = match engine.compile(&options, "module", &wasm) {
                Ok(size) => Ok(read(size, |offset, into| engine.read(offset, into).is_ok())?),
                Err(error) => {
                    let mut words = vec![0; 1024];
                    let mut into = Out::new(&mut words);
                    engine.explain(&mut into).map_err(|error| anyhow!("{error:?}"))?;
                    let length = into.written().len();
                    Err(format!("{error:?}: {}", String::from_utf8_lossy(&words[..length])))
                }
            };
            let ms = start.elapsed().as_secs_f64() * 1e3;
            let expected = translate(&library_options(&options), "module", &wasm).map_err(|refusal| refusal.text);
            let same = match (&found, &expected) {
                (Ok(found), Ok(expected)) => found == expected,
                (Err(found), Err(expected)) => found.ends_with(expected.as_str()),
                _ => false,
            };
            is_same &= same;
            let outcome = found.map_or_else(|error| error, |blob| format!("{} bytes", blob.len()));
            let word = if same { "the same" } else { "NOT THE SAME" };
            println!("{domain:?} {} {optimization} {bounds}: {outcome}, {ms:.1} ms, {word}", file.display());
        }
    }
    Ok(is_same)
}

fn read(size: u64, mut piece: impl FnMut(u64, &mut Out<'_, u8>) -> bool) -> Result<Vec<u8>> {
    let mut blob = vec![0; usize::try_from(size)?];
    let mut offset = 0;
    for part in blob.chunks_mut(PIECE) {
        let (expected, mut into) = (part.len(), Out::new(part));
        if !piece(offset, &mut into) || into.written().len() != expected {
            return Err(anyhow!("the blob could not be read from {offset} on"));
        }
        offset += expected as u64;
    }
    Ok(blob)
}

fn library_options(options: &Options) -> bareflow_translator::Options {
    bareflow_translator::Options {
        version: (options.version_major, options.version_minor, options.version_patch),
        optimization: if options.optimization == QUICK { Optimization::Quick } else { Optimization::Speed },
        cpu_level: options.cpu_level as u8,
        bounds: match options.bounds {
            CHECKED => Bounds::Checked,
            _ => Bounds::Window,
        },
        spectre_guard: options.spectre_guard == 1,
        maximum_pages: options.maximum_pages,
    }
}
