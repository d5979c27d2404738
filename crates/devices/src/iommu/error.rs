//! Errors of a virtio IOMMU.

use bareflow_device::DeviceError;

use super::messages::RequestError;
use crate::virtio::Broken;

/// The reason for which the IOMMU is of no use, or refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IommuError {
    /// The device does not start.
    #[error("the IOMMU does not start: {0:?}")]
    Start(DeviceError),
    /// The device can't do what is needed.
    #[error("the IOMMU is of no use: {0}")]
    Unable(&'static str),
    /// A request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The device broke the rules of a queue.
    #[error("the IOMMU broke the rules: {0}")]
    Broken(#[from] Broken),
    /// The device does not answer, now or since an earlier request, or broke the rules before.
    #[error("the IOMMU does not answer")]
    Lost,
    /// The domain has no more addresses.
    #[error("there are no more addresses behind the IOMMU")]
    NoAddresses,
    /// There was no memory.
    #[error("there is no memory for the IOMMU's queues")]
    NoMemory,
}

impl From<DeviceError> for IommuError {
    fn from(error: DeviceError) -> IommuError {
        IommuError::Start(error)
    }
}
