//! Bytes to values and back. Every length is compared with what is there before anything is made for it.

use super::Malformed;

/// What has a form on the wire.
pub(super) trait Wire: Sized {
    fn put(&self, to: &mut Vec<u8>);
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// What is left of a frame.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Long) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*array)
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(u32::take(self)?).map_err(|_| Malformed::Short)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Reads at most so many of a kind.
    pub(super) fn list<T>(
        &mut self,
        most: usize,
        mut take: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.length()?;
        // Nothing on the wire is shorter than a byte.
        if length > most || length > self.0.len() {
            return Err(Malformed::Many(length));
        }
        (0..length).map(|_| take(self)).collect()
    }
}

/// Lengths are far below 4 GiB: the limits see to it.
pub(super) fn put_length(length: usize, to: &mut Vec<u8>) {
    u32::try_from(length).unwrap_or(u32::MAX).put(to);
}

pub(super) fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    put_length(bytes.len(), to);
    to.extend_from_slice(bytes);
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                from.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

numbers!(u8, u32, i32, u64, i64, f32, f64);

impl Wire for Vec<u8> {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self, to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.bytes().map(<[u8]>::to_vec)
    }
}

impl Wire for String {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        str::from_utf8(from.bytes()?).map(str::to_owned).map_err(|_| Malformed::Text)
    }
}

/// Absent, or there.
impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            None => 0_u8.put(to),
            Some(value) => {
                1_u8.put(to);
                value.put(to);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(None),
            1 => T::take(from).map(Some),
            unknown => Err(Malformed::Unknown(unknown)),
        }
    }
}
