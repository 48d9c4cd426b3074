//! How a file is opened.

/// Flags for [`super::File::open`]; start from `OpenOptions::new()` and add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    create: bool,
    create_new: bool,
    truncate: bool,
    direct: bool,
    dsync: bool,
}

impl OpenOptions {
    /// Nothing set; opens nothing until `read` or `write` is.
    pub fn new() -> Self {
        Self::default()
    }

    /// For reading.
    pub fn read(mut self) -> Self {
        self.read = true;
        self
    }

    /// For writing.
    pub fn write(mut self) -> Self {
        self.write = true;
        self
    }

    /// Creates the file if it is not there.
    pub fn create(mut self) -> Self {
        self.create = true;
        self
    }

    /// Creates the file and fails with `AlreadyExists` if it is there.
    pub fn create_new(mut self) -> Self {
        self.create_new = true;
        self
    }

    /// Empties the file.
    pub fn truncate(mut self) -> Self {
        self.truncate = true;
        self
    }

    /// Past the page cache (O_DIRECT). File systems that cannot refuse the open with `InvalidInput`.
    pub fn direct(mut self) -> Self {
        self.direct = true;
        self
    }

    /// Every write is on the device when it completes (O_DSYNC).
    pub fn dsync(mut self) -> Self {
        self.dsync = true;
        self
    }

    pub(super) fn flags(self) -> i32 {
        let access = match (self.read, self.write) {
            (_, false) => libc::O_RDONLY,
            (false, true) => libc::O_WRONLY,
            (true, true) => libc::O_RDWR,
        };
        let bit = |on: bool, flag: i32| if on { flag } else { 0 };
        access
            | bit(self.create || self.create_new, libc::O_CREAT)
            | bit(self.create_new, libc::O_EXCL)
            | bit(self.truncate, libc::O_TRUNC)
            | bit(self.direct, libc::O_DIRECT)
            | bit(self.dsync, libc::O_DSYNC)
    }
}
