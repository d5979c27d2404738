//! The description of a module: what `module!` puts into sections of their own, for the packer.

use bareflow_abi::entry::{DESCRIPTOR_SECTION, Descriptor};
use bareflow_abi::events::{EVENTS_SECTION, Events};
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::FLAG_STATE;
use bareflow_abi::interface::bindings::{BINDINGS_SECTION, Entries, SIGNATURES_SECTION};
use bareflow_abi::layout_record::LAYOUT_SECTION;
use bareflow_abi::parameters::{PARAMETERS_SECTION, Parameters};
use bareflow_abi::state::{SCHEMA_SECTION, Schema};

use crate::error::PackError;

/// The sections of a description.
pub(crate) const SECTIONS: [&str; 7] = [
    DESCRIPTOR_SECTION,
    SCHEMA_SECTION,
    PARAMETERS_SECTION,
    BINDINGS_SECTION,
    EVENTS_SECTION,
    SIGNATURES_SECTION,
    LAYOUT_SECTION,
];

/// A function that returns the bytes of the section with this name, if the linked file has it.
type Sections<'file> = dyn Fn(&str) -> Result<Option<&'file [u8]>, PackError> + 'file;

/// The description of a module, each part checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The module's ABI version and flags.
    pub descriptor: Descriptor,
    /// The schema of its state, if it has one.
    pub state_schema: Option<Vec<u8>>,
    /// The list of its parameters, if it has any.
    pub parameters: Option<Vec<u8>>,
    /// The imports and exports; empty if there are none.
    pub bindings: Vec<u8>,
    /// The events and notifications; empty if there are none.
    pub events: Vec<u8>,
    /// The text of the signatures of imports and exports.
    pub signatures: Vec<u8>,
    /// The layout that it was built against, if that is not of a released ABI and the file has it.
    pub layout: Option<Vec<u8>>,
}

impl Description {
    /// Reads the sections of a linked file.
    pub(crate) fn read(sections: &Sections<'_>) -> Result<Description, PackError> {
        let descriptor = sections(DESCRIPTOR_SECTION)?.and_then(|bytes| bytes.try_into().ok());
        let descriptor = Descriptor::from_bytes(descriptor.ok_or(PackError::MissingDescriptor)?);
        let bindings = bindings(sections)?;
        Ok(Description {
            descriptor,
            state_schema: state_schema(sections)?,
            parameters: parameters(sections)?,
            events: events(sections, &bindings)?,
            bindings,
            signatures: signatures(sections)?,
            layout: layout(sections, &descriptor)?,
        })
    }

    /// Checks that a module that has a state has its schema, without which it is not transferred.
    pub(crate) fn check(&self) -> Result<(), PackError> {
        if (self.descriptor.flags & FLAG_STATE != 0) == self.state_schema.is_some() {
            return Ok(());
        }
        Err(PackError::StateSchema { length: self.state_schema.as_ref().map_or(0, Vec::len) })
    }

    /// Returns whether two modules are described alike, but for what is only shown to people.
    pub(crate) fn is_like(&self, other: &Description) -> bool {
        let Description { descriptor, state_schema, parameters, bindings, events, signatures: _, layout: _ } = other;
        self.descriptor == *descriptor
            && self.state_schema == *state_schema
            && self.parameters == *parameters
            && self.bindings == *bindings
            && self.events == *events
    }
}

fn state_schema(sections: &Sections<'_>) -> Result<Option<Vec<u8>>, PackError> {
    let Some(bytes) = sections(SCHEMA_SECTION)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    Schema::parse(bytes).ok_or(PackError::StateSchema { length: bytes.len() })?;
    Ok(Some(bytes.to_vec()))
}

fn parameters(sections: &Sections<'_>) -> Result<Option<Vec<u8>>, PackError> {
    let Some(bytes) = sections(PARAMETERS_SECTION)? else { return Ok(None) };
    Parameters::check(bytes).map_err(|(number, why)| PackError::Parameter { number, why })?;
    Ok(Some(bytes.to_vec()).filter(|bytes| !bytes.is_empty()))
}

fn bindings(sections: &Sections<'_>) -> Result<Vec<u8>, PackError> {
    let Some(bytes) = sections(BINDINGS_SECTION)? else { return Ok(Vec::new()) };
    Entries::check(bytes).map_err(|(number, why)| PackError::Binding { number, why })?;
    Ok(bytes.to_vec())
}

fn events(sections: &Sections<'_>, bindings: &[u8]) -> Result<Vec<u8>, PackError> {
    let Some(bytes) = sections(EVENTS_SECTION)? else { return Ok(Vec::new()) };
    let functions = Entries::new(bindings).plain_functions();
    Events::check(bytes, functions).map_err(|(number, why)| PackError::Event { number, why })?;
    Ok(bytes.to_vec())
}

fn signatures(sections: &Sections<'_>) -> Result<Vec<u8>, PackError> {
    let Some(bytes) = sections(SIGNATURES_SECTION)? else { return Ok(Vec::new()) };
    core::str::from_utf8(bytes).map_err(|_| PackError::Signatures { length: bytes.len() })?;
    Ok(bytes.to_vec())
}

/// Returns the module's layout, which a loader with a released ABI needs for its error message.
fn layout(sections: &Sections<'_>, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, PackError> {
    let is_released = FINGERPRINTS.contains(&descriptor.abi_fingerprint);
    Ok(sections(LAYOUT_SECTION)?.filter(|bytes| !is_released && !bytes.is_empty()).map(<[u8]>::to_vec))
}
