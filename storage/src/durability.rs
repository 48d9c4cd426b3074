//! What "acknowledged" means: the durability class a log is written with (`ack.durability`).

use std::fmt;
use std::str::FromStr;

/// When an append may be acknowledged and become visible. Ordered from weakest to strongest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Appended in memory. A crash of this process loses it.
    Memory,
    /// The journal write has completed, without a flush. Survives the process, not a power cut.
    Written,
    /// The journal write has completed and the device has been flushed. Survives a power cut.
    #[default]
    Device,
}

impl Durability {
    /// All classes, weakest first.
    pub const ALL: [Durability; 3] = [Durability::Memory, Durability::Written, Durability::Device];

    /// The word used in configuration, reports and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Memory => "memory",
            Durability::Written => "written",
            Durability::Device => "device",
        }
    }

    /// The class as one byte, for frames on disk.
    pub const fn code(self) -> u8 {
        match self {
            Durability::Memory => 0,
            Durability::Written => 1,
            Durability::Device => 2,
        }
    }

    /// The class a byte on disk stands for.
    pub const fn from_code(code: u8) -> Option<Durability> {
        match code {
            0 => Some(Durability::Memory),
            1 => Some(Durability::Written),
            2 => Some(Durability::Device),
            _ => None,
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text named no durability class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown durability {0:?}: use device, written or memory")]
pub struct UnknownDurability(pub String);

impl FromStr for Durability {
    type Err = UnknownDurability;

    fn from_str(text: &str) -> Result<Durability, UnknownDurability> {
        Durability::ALL
            .into_iter()
            .find(|class| class.name().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| UnknownDurability(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_round_trip() {
        for class in Durability::ALL {
            assert_eq!(class.name().parse(), Ok(class));
            assert_eq!(Durability::from_code(class.code()), Some(class));
        }
        assert_eq!(" DEVICE ".parse(), Ok(Durability::Device));
        assert!("fsync".parse::<Durability>().is_err());
        assert_eq!(Durability::from_code(3), None);
    }

    #[test]
    fn a_stronger_class_compares_greater() {
        assert!(Durability::Memory < Durability::Written);
        assert!(Durability::Written < Durability::Device);
    }
}
