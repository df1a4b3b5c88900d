//! The events of one recording, and its sensor.

/// Events sorted by time, one array per field, all of the same length: the columns of tonic's structured arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Times in microseconds.
    pub t: Vec<i64>,
    /// Columns of the sensor, or channels of a cochlea.
    pub x: Vec<u16>,
    /// Rows of the sensor; 0 if it has one row.
    pub y: Vec<u16>,
    /// Whether the brightness rose; true if there is one polarity.
    pub p: Vec<bool>,
}

impl Events {
    /// Number of events.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// Appends an event.
    pub fn push(&mut self, t: i64, x: u16, y: u16, p: bool) {
        self.t.push(t);
        self.x.push(x);
        self.y.push(y);
        self.p.push(p);
    }
}

/// The sensor of a recording. Events lie within it: `x < width`, `y < height`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// Columns, or channels of a cochlea.
    pub width: u16,
    /// Rows; 1 for a cochlea.
    pub height: u16,
    /// 1 or 2.
    pub polarities: u8,
}

impl Sensor {
    /// A cochlea with `channels` channels.
    pub fn cochlea(channels: u16) -> Sensor {
        Sensor { width: channels, height: 1, polarities: 1 }
    }
}
