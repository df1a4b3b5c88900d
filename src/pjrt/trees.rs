//! Trees between host and devices.

use spiq_hlo::{Array, Tree};

use super::buffer::{Buffer, PendingArray};
use super::client::Client;
use super::device::Device;
use crate::error::Result;

impl Client {
    /// Copies a tree of arrays to one of this client's devices. Returns before the copies are complete. JAX: `jax.device_put`.
    ///
    /// # Errors
    /// As [`Client::to_device_on`].
    pub fn device_put<T: Tree<Array>>(&self, tree: &T, device: &Device) -> Result<T::With<Buffer>> {
        tree.try_map("", &mut |_, array| self.to_device_on(array, device))
    }
}

/// Waits for a tree of buffers and copies it to the host. JAX: `jax.device_get`.
///
/// # Errors
/// Errors of the computation of a buffer; a deleted buffer.
///
/// ```
/// use spiq::{Array, pjrt::{Client, device_get}};
/// let client = Client::cpu()?;
/// let tree = (vec![Array::from([1.0f32, 2.0])], Some(Array::scalar(3i32)));
/// let copies = client.device_put(&tree, &client.devices()[0])?;
/// assert_eq!(device_get(&copies)?, tree);
/// # Ok::<(), spiq::Error>(())
/// ```
pub fn device_get<T: Tree<Buffer>>(tree: &T) -> Result<T::With<Array>> {
    // All copies are started before the first is waited for.
    let pending = tree.by_path().into_iter().map(|(_, buffer)| buffer.start_to_host()).collect::<Result<Vec<_>>>()?;
    let mut arrays = pending.into_iter().map(PendingArray::wait);
    tree.try_map("", &mut |_, _| arrays.next().expect("a copy of each leaf"))
}
