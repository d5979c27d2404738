//! The arguments of a method's call, away from anybody's memory.

use bareflow_abi::interface::{ArgumentKind, Shape};

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A word.
    Scalar(u64),
    /// Bytes that the provider reads.
    Read(Vec<u8>),
    /// Bytes that it reads and writes.
    Write(Vec<u8>),
    /// Room to which it appends: the bytes, and how many of them it wrote.
    Append(Vec<u8>, usize),
}

impl Argument {
    /// Returns the bytes that the provider may read.
    pub(crate) fn readable(&self) -> &[u8] {
        match self {
            Argument::Read(bytes) | Argument::Write(bytes) => bytes,
            Argument::Scalar(_) | Argument::Append(..) => &[],
        }
    }

    /// Returns the bytes that the provider may write.
    pub(crate) fn writable(&mut self) -> &mut [u8] {
        match self {
            Argument::Write(bytes) | Argument::Append(bytes, _) => bytes,
            Argument::Scalar(_) | Argument::Read(_) => &mut [],
        }
    }
}

/// Returns the words of the frame; addresses are 0, since the provider asks for the bytes.
pub(crate) fn words(arguments: &[Argument]) -> Vec<u8> {
    let words = arguments.iter().flat_map(|argument| match argument {
        Argument::Scalar(word) => vec![*word],
        Argument::Read(bytes) | Argument::Write(bytes) | Argument::Append(bytes, _) => vec![0, bytes.len() as u64],
    });
    words.flat_map(u64::to_le_bytes).collect()
}

/// Notes how much was appended.
pub(crate) fn note_appended(arguments: &mut [Argument], mut counts: impl Iterator<Item = u64>) {
    for argument in arguments {
        if let Argument::Append(bytes, written) = argument {
            *written = counts.next().map_or(0, |count| count as usize).min(bytes.len());
        }
    }
}

/// Copies the arguments of a method with this shape out of the user's memory; `None` if a word leads out of it.
pub(crate) fn copy(shape: Shape, words: &[u64], memory: &[u8]) -> Option<Vec<Argument>> {
    let mut rest = words;
    let mut arguments = Vec::new();
    for kind in shape.kinds() {
        let (own, behind) = rest.split_at_checked(kind.words())?;
        rest = behind;
        let bytes = || {
            let (start, length) = (usize::try_from(*own.first()?).ok()?, usize::try_from(*own.get(1)?).ok()?);
            memory.get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
        };
        arguments.push(match kind {
            ArgumentKind::Scalar => Argument::Scalar(*own.first()?),
            ArgumentKind::Text | ArgumentKind::Slice => Argument::Read(bytes()?),
            ArgumentKind::SliceMut => Argument::Write(bytes()?),
            ArgumentKind::Out => Argument::Append(vec![0; bytes()?.len()], 0),
        });
    }
    Some(arguments)
}

/// Copies what the provider wrote back into the user's memory, and the numbers of appended bytes into its words.
pub(crate) fn give_back(arguments: &[Argument], words: &mut [u64], memory: &mut [u8]) {
    let mut rest = words;
    for argument in arguments {
        let count = if matches!(argument, Argument::Scalar(_)) { 1 } else { 2 };
        let Some((own, behind)) = rest.split_at_mut_checked(count) else { return };
        rest = behind;
        let start = own[0] as usize;
        match argument {
            Argument::Scalar(_) | Argument::Read(_) => {}
            Argument::Write(bytes) => memory[start..start + bytes.len()].copy_from_slice(bytes),
            Argument::Append(bytes, written) => {
                memory[start..start + written].copy_from_slice(&bytes[..*written]);
                own[1] = *written as u64;
            }
        }
    }
}
