//! The boot archive, which the kernel gets besides its embedded one.

use anyhow::Result;
use bareflow_builder::kernel::archive;
use bareflow_protocol::KernelOptions;
use bareflow_suite::archive::{ENGINES, INPUT, LABELS, LIMITS, OPTIONS, PARAMETERS};

use super::Machine;
use crate::input_files::InputFiles;

impl Machine {
    /// Returns the archive with the options, the parameters, the blobs and their names, and the input.
    pub(super) fn boot_archive(&self) -> Result<Vec<u8>> {
        let options = KernelOptions { icount: self.icount, virtio: self.virtio_channel, ..self.options };
        let InputFiles { blobs, engines, input, parameters, limits, .. } = &self.files;
        let labels: String = blobs.iter().map(|(label, _)| format!("{label}\n")).collect();
        let folder = |index: usize| if index < *engines { ENGINES } else { "" };
        let names: Vec<_> = (0..blobs.len()).map(|index| format!("{}{index}.mod", folder(index))).collect();
        let blobs = names.iter().zip(blobs).map(|(name, (_, bytes))| (name.as_str(), bytes.as_slice()));
        let options = options.to_bytes()?;
        let besides = [
            (OPTIONS, options.as_slice()),
            (PARAMETERS, parameters.as_bytes()),
            (LIMITS, limits.as_bytes()),
            (LABELS, labels.as_bytes()),
            (INPUT, input),
        ];
        Ok(archive(besides.into_iter().filter(|(_, bytes)| !bytes.is_empty()).chain(blobs)))
    }
}
