//! The header and the records that a module gets by its settings and its description, whatever its code is.

use bareflow_abi::depends::{Dependencies, Dependency};
use bareflow_abi::devices::Devices;
use bareflow_abi::events::Events;
use bareflow_abi::header::{FORMAT_VERSION, Header, KNOWN_FLAGS, MAGIC, NAME_SIZE, SERVICE_CALL, is_name_byte};
use bareflow_abi::record::{
    BINDINGS, DEPENDENCIES, DEVICES, EVENTS, EXPECTED_RESULT, LAYOUT, PARAMETERS, SIGNATURES, STATE_SCHEMA,
};

use crate::description::Description;
use crate::error::PackError;
use crate::{Depends, Settings, bindings, record};

/// The name and the dependencies of a module, as they are encoded.
#[derive(Debug)]
pub(crate) struct Identity {
    name: [u8; NAME_SIZE],
    depends: Vec<u8>,
    devices: Vec<u8>,
}

impl Identity {
    /// Checks and encodes what the settings say of the module itself.
    pub(crate) fn of(settings: &Settings) -> Result<Identity, PackError> {
        let name = name_field(&settings.name)?;
        if settings.version == (0, 0, 0) {
            return Err(PackError::NoVersion);
        }
        Ok(Identity { name, depends: dependencies(settings)?, devices: devices(settings)? })
    }

    /// Returns the header of the module, in which all that depends on its code is 0, and its records but those of its code.
    pub(crate) fn stamp(self, settings: &Settings, about: &Description) -> Result<(Header, Vec<u8>), PackError> {
        let bindings = bindings::bind(&about.bindings, &settings.bind)?;
        bindings::check_callable(about.descriptor.flags, &bindings)?;
        Events::check_devices(&about.events, Devices::new(&self.devices).count())
            .map_err(|(number, why)| PackError::Event { number, why })?;
        let services = settings.services | bindings::services(&bindings);
        let services = if self.depends.is_empty() { services } else { services | SERVICE_CALL };
        let (version_major, version_minor, version_patch) = settings.version;
        let (abi_minor, abi_fingerprint) =
            bindings::abi(&about.descriptor, &bindings, bindings::Uses::of(&about.events, &self.devices), services);
        let header = Header {
            magic: MAGIC,
            format: FORMAT_VERSION,
            abi_major: about.descriptor.abi_major,
            abi_minor,
            flags: about.descriptor.flags & KNOWN_FLAGS,
            abi_fingerprint,
            name: self.name,
            version_major,
            version_minor,
            version_patch,
            services,
            stack_size: settings.stack_size,
            time_us: settings.time_us,
            ..Header::default()
        };
        Ok((header, records(settings, [&self.depends, &bindings, &self.devices], about)))
    }
}

/// Returns the header's name field.
fn name_field(name: &str) -> Result<[u8; NAME_SIZE], PackError> {
    if name.is_empty() || name.len() >= NAME_SIZE || !name.bytes().all(is_name_byte) {
        return Err(PackError::Name { found: name.to_owned() });
    }
    let mut field = [0; NAME_SIZE];
    field[..name.len()].copy_from_slice(name.as_bytes());
    Ok(field)
}

/// Encodes the dependency list; empty if there are no dependencies.
fn dependencies(settings: &Settings) -> Result<Vec<u8>, PackError> {
    let mut list = Vec::new();
    for Depends { name, from, below } in &settings.depends {
        // A cut name still breaks the rule, so a name that is too long for its length field is refused.
        let name = name.get(..name.len().min(NAME_SIZE)).unwrap_or_default();
        Dependency { name, from: *from, below: *below }.encode(&mut |part| list.extend_from_slice(part));
    }
    match Dependencies::check(&list, settings.name.as_bytes()) {
        Ok(_) => Ok(list),
        Err((number, why)) => {
            let found = settings.depends.get(number - 1).map(|entry| entry.name.clone()).unwrap_or_default();
            Err(PackError::Dependency { found, why })
        }
    }
}

/// Encodes the devices; empty if there are none.
fn devices(settings: &Settings) -> Result<Vec<u8>, PackError> {
    let mut list = Vec::new();
    settings
        .devices
        .iter()
        .for_each(|device| bareflow_abi::devices::encode(device, &mut |part| list.extend_from_slice(part)));
    Devices::check(&list).map_err(|(number, why)| {
        let found = settings.devices.get(number - 1).cloned().unwrap_or_default();
        PackError::Device { found, why }
    })?;
    Ok(list)
}

fn records(settings: &Settings, [depends, bindings, devices]: [&[u8]; 3], about: &Description) -> Vec<u8> {
    let depends = (!depends.is_empty()).then(|| record(DEPENDENCIES, depends));
    let bindings = (!bindings.is_empty()).then(|| record(BINDINGS, bindings));
    let events = (!about.events.is_empty()).then(|| record(EVENTS, &about.events));
    let devices = (!devices.is_empty()).then(|| record(DEVICES, devices));
    let has_signatures = !about.signatures.is_empty() && !settings.strip;
    let signatures = has_signatures.then(|| record(SIGNATURES, &about.signatures));
    let expect = settings.expect.map(|expect| record(EXPECTED_RESULT, &expect.to_le_bytes()));
    let state = about.state_schema.as_ref().map(|schema| record(STATE_SCHEMA, schema));
    let parameters = about.parameters.as_ref().map(|list| record(PARAMETERS, list));
    let layout = about.layout.as_ref().map(|layout| record(LAYOUT, layout));
    [depends, bindings, events, devices, expect, state, parameters, signatures, layout]
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::settings;
    use bareflow_abi::depends::BadDependency;

    fn depends(name: &str) -> Depends {
        Depends { name: name.to_owned(), from: [1, 0, 0], below: None }
    }

    #[test]
    fn writes_dependencies_down() {
        let list = dependencies(&Settings { depends: vec![depends("sum")], ..settings() }).unwrap();
        let found: Vec<_> = Dependencies::new(&list).collect();
        assert_eq!(found, [Dependency { name: "sum", from: [1, 0, 0], below: None }]);
        assert_eq!(dependencies(&settings()), Ok(Vec::new()));
    }

    #[test]
    fn rejects_dependencies_that_can_not_be() {
        let long = "a".repeat(300);
        for (name, why) in [("test", BadDependency::Itself), ("Sum", BadDependency::Name), (&long, BadDependency::Name)]
        {
            let error = crate::pack(&[], &Settings { depends: vec![depends(name)], ..settings() }).unwrap_err();
            assert_eq!(error, PackError::Dependency { found: name.to_owned(), why });
            assert!(error.to_string().contains("package.metadata.bareflow.depends"), "{error}");
        }
    }
}
