//! The devices that run one program together, and the values that they hold for it.

use spiq_hlo::Array;

use super::buffer::Buffer;
use super::client::Client;
use super::device::Device;
use crate::error::{Error, Result};

/// The devices that run one program together, each on its part of the data. A value is a list of buffers: one on each device of this
/// process.
///
/// [`world`](Mesh::world) counts all devices, on which the program and its results depend; [`local`](Mesh::local) lists those of this
/// process, which it copies values to. They are the same devices unless the client is part of a [run of several
/// processes](super::ClientOptions::cluster).
///
/// ```
/// use spiq::{Array, pjrt::{Client, Mesh}};
/// let mesh = Mesh::new(&Client::cpu()?, 1)?;
/// let parts = mesh.split(&Array::new([2, 2], [1.0f32, 2.0, 3.0, 4.0])?, 0)?;
/// assert_eq!((parts.len(), mesh.world()), (1, 1));
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mesh {
    client: Client,
    local: Vec<Device>,
    first: usize,
    world: usize,
}

impl Mesh {
    /// The first devices of a client: `count` in all processes together.
    ///
    /// # Errors
    /// Kind `Input` if the client has fewer devices, for none, or if the processes cannot use equally many; for several processes with
    /// several CPU devices each.
    pub fn new(client: &Client, count: usize) -> Result<Mesh> {
        let (process, processes) =
            client.cluster().map_or((0, 1), |cluster| (cluster.identity().process, cluster.identity().processes));
        if !count.is_multiple_of(processes) {
            return Err(Error::input(format!(
                "{processes} processes cannot use equally many of {count} devices; give a multiple of {processes}"
            )));
        }
        let (mut local, each) = (client.devices(), count / processes);
        let there = local.len();
        if !(1..=there).contains(&each) {
            return Err(Error::input(format!(
                "{each} devices are asked for, but there are {there} of the platform {}; give a number from 1 to {there}",
                client.platform_name()
            )));
        }
        if client.exchanges_as().is_some() && each > 1 {
            return Err(Error::input(
                "on the CPU, each of several processes uses one device, which has all cores; leave out --devices",
            ));
        }
        local.truncate(each);
        Ok(Mesh { client: client.clone(), world: count, first: process * each, local })
    }

    /// The number of devices that one compiled program is for: all, or those of this process where each process compiles a separate one.
    pub(crate) fn of_one_program(&self) -> usize {
        if self.client.exchanges_as().is_some() { self.local.len() } else { self.world }
    }

    /// The number of devices of all processes that run the program.
    pub fn world(&self) -> usize {
        self.world
    }

    /// The devices of this process, in the order of the program's devices.
    pub fn local(&self) -> &[Device] {
        &self.local
    }

    /// The number, among all devices, of the first one of this process.
    pub fn first(&self) -> usize {
        self.first
    }

    /// The client of this process's devices.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Copies an array to each device of this process. Returns before the copies are complete.
    ///
    /// # Errors
    /// As [`Client::to_device_on`].
    pub fn replicate(&self, array: &Array) -> Result<Vec<Buffer>> {
        self.local.iter().map(|device| self.client.to_device_on(array, device)).collect()
    }

    /// Divides an array along an axis into equal parts, one for each of all devices, and copies those of this process to its devices.
    /// Returns before the copies are complete.
    ///
    /// # Errors
    /// As [`Client::to_device_on`]; kind `Input` for an axis that the array lacks, or whose size is not a multiple of the number of devices.
    pub fn split(&self, array: &Array, axis: usize) -> Result<Vec<Buffer>> {
        if array.dims().get(axis).is_none_or(|size| size % self.world != 0) {
            return Err(Error::input(format!(
                "{} cannot be divided evenly along axis {axis} over {} devices",
                array.ty(),
                self.world
            )));
        }
        let parts = self.local.iter().enumerate();
        parts
            .map(|(at, device)| self.client.to_device_on(&part(array, axis, self.first + at, self.world), device))
            .collect()
    }
}

/// One of `count` equal parts of an array along an axis.
fn part(array: &Array, axis: usize, number: usize, count: usize) -> Array {
    let mut dims = array.dims().to_vec();
    let inner: usize = dims[axis + 1..].iter().product::<usize>() * array.dtype().host_bytes();
    let whole = dims[axis] * inner;
    dims[axis] /= count;
    let own = dims[axis] * inner;
    let rows = array.bytes().chunks_exact(whole.max(1));
    let bytes: Vec<u8> = rows.flat_map(|row| &row[number * own..(number + 1) * own]).copied().collect();
    Array::from_bytes(array.ty().with_dims(dims), bytes).expect("as many bytes as a part has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_along_each_axis() {
        let array = Array::new([2, 4], (0..8).collect::<Vec<i32>>()).expect("eight elements");
        let values = |axis, number, count| part(&array, axis, number, count).to_vec::<i32>().expect("integers");
        assert_eq!(values(0, 1, 2), [4, 5, 6, 7]);
        assert_eq!(values(1, 1, 2), [2, 3, 6, 7]);
        assert_eq!(values(1, 3, 4), [3, 7]);
        assert_eq!(part(&array, 1, 0, 4).dims(), [2, 1]);
    }
}
