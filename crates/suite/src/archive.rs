//! Archives of blobs: plain tar, as `tar cf boot.tar *.mod` writes it. The kernel's options may come with them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_protocol::KernelOptions;
use tar_no_std::TarArchiveRef;

use crate::Source;
use crate::load_defaults::LoadDefaults;
use crate::module_limits::ModuleLimits;

/// The file in an archive with the input of the run, if there is any.
pub const INPUT: &str = "input";

/// The file in an archive with the names to show for its blobs, one per line.
pub const LABELS: &str = "labels";

/// The file in an archive with the parameters to set and the imports to bind, one
/// [`Assignment`](bareflow_loader::Assignment) on each line.
pub const PARAMETERS: &str = "parameters";

/// The file in an archive with limits of single modules, as [`ModuleLimits`] takes them.
pub const LIMITS: &str = "limits";

/// The file in an archive with the options of the kernel, if they are not the default.
pub const OPTIONS: &str = "options";

/// The folder in an archive with the engines that the sandbox trusts.
pub const ENGINES: &str = "engines/";

/// The contents of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive<'bytes> {
    /// The blobs, in order.
    pub blobs: Vec<Source<'bytes>>,
    /// Those of the blobs that lie in the folder [`ENGINES`].
    pub engines: Vec<&'bytes [u8]>,
    /// The input.
    pub input: &'bytes [u8],
    /// The parameters to set and the imports to bind, one on each line.
    pub parameters: &'bytes str,
    /// The limits of single modules.
    pub limits: ModuleLimits<'bytes>,
    /// The options of the kernel.
    pub options: KernelOptions,
}

impl<'bytes> Archive<'bytes> {
    /// Returns the options by which modules are loaded.
    #[must_use]
    pub const fn load_defaults(&self) -> LoadDefaults<'bytes> {
        LoadDefaults { load: self.options.load, limits: self.limits, portable: self.options.portable }
    }

    /// Reads an archive; an empty slice is an empty archive.
    ///
    /// # Errors
    /// A text that says what is wrong with the archive.
    pub fn read(bytes: &'bytes [u8]) -> Result<Archive<'bytes>, String> {
        if bytes.is_empty() {
            return Ok(Archive::default());
        }
        let tar = TarArchiveRef::new(bytes).map_err(|_| {
            alloc::format!("{} bytes that are no tar archive; make it by `tar cf ARCHIVE FILE.mod ..`", bytes.len())
        })?;
        let mut archive = Archive::default();
        let mut labels = "";
        for entry in tar.entries() {
            let name = entry.filename();
            match name.as_str().unwrap_or("(unreadable name)") {
                INPUT => archive.input = entry.data(),
                OPTIONS => {
                    let options = KernelOptions::from_bytes(entry.data());
                    archive.options = options.map_err(|error| error.to_string())?;
                }
                PARAMETERS => {
                    archive.parameters = core::str::from_utf8(entry.data()).map_err(|_| {
                        alloc::format!("{PARAMETERS}: no text, expected module.parameter=value on each line")
                    })?;
                }
                LIMITS => {
                    let text = core::str::from_utf8(entry.data());
                    archive.limits = ModuleLimits::new(
                        text.map_err(|_| alloc::format!("{LIMITS}: no text, expected module.heap=1M on each line"))?,
                    );
                }
                LABELS => labels = core::str::from_utf8(entry.data()).unwrap_or_default(),
                name => {
                    archive.engines.extend(name.starts_with(ENGINES).then(|| entry.data()));
                    archive.blobs.push(Source { label: name.to_string(), bytes: entry.data() });
                }
            }
        }
        for (blob, label) in archive.blobs.iter_mut().zip(labels.lines()) {
            blob.label = label.to_string();
        }
        Ok(archive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = ::tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o444);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn reads_blobs_labels_and_input() {
        let bytes = tar(&[
            ("labels", b"dir/a file.mod\n"),
            ("0.mod", b"blob"),
            ("1.mod", b""),
            ("engines/2.mod", b"engine"),
            ("input", b"in"),
            ("parameters", b"a.b=1\n"),
            ("limits", b"a.heap=1M\n"),
        ]);
        let archive = Archive::read(&bytes).unwrap();
        assert_eq!(archive.engines, [b"engine"]);
        assert_eq!(archive.parameters, "a.b=1\n");
        assert_eq!(archive.limits, ModuleLimits::new("a.heap=1M\n"));
        assert_eq!(archive.input, b"in");
        let expected = [("dir/a file.mod", &b"blob"[..]), ("1.mod", b""), ("engines/2.mod", b"engine")];
        let found: Vec<_> = archive.blobs.iter().map(|blob| (blob.label.as_str(), blob.bytes)).collect();
        assert_eq!(found, expected);
        assert_eq!(Archive::read(b""), Ok(Archive::default()));
    }

    #[test]
    fn reads_options_and_rejects_damaged_ones() {
        let options = KernelOptions { repeat: 7, ..KernelOptions::default() };
        let mut bytes = options.to_bytes().unwrap();
        assert_eq!(Archive::read(&tar(&[(OPTIONS, &bytes)])).unwrap().options, options);
        bytes[5] ^= 1;
        let error = Archive::read(&tar(&[(OPTIONS, &bytes), ("a.mod", b"a")])).unwrap_err();
        assert!(error.starts_with(&alloc::format!("options of {} bytes with checksum 0x", bytes.len())), "{error}");
    }

    #[test]
    fn rejects_what_is_no_archive() {
        assert!(Archive::read(b"no tar").unwrap_err().contains("6 bytes"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            let _ = Archive::read(&bytes);
        }

        #[test]
        fn no_mutation_makes_it_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = tar(&[("a.mod", &[7; 600]), ("b.mod", b"b"), ("labels", b"x\ny\n")]);
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            let _ = Archive::read(&bytes);
        }
    }
}
