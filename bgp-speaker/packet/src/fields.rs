//! Takes fixed-size fields from the front of a byte slice.

/// What is left of the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `N` octets, if there are that many.
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    /// The next `len` octets, if there are that many.
    pub(crate) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    /// A slice whose length is the next octet.
    pub(crate) fn slice_u8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.slice(len.into())
    }

    /// A slice whose length is the next two octets.
    pub(crate) fn slice_u16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.slice(len.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The whole of `bytes` as one field.
pub(crate) fn exact<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// Writes a length that was left open at `at`, as two octets.
pub(crate) fn fill_u16(out: &mut [u8], at: usize, len: usize) {
    // A message never exceeds 65535 octets, so neither does a part of it.
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) {
        *field = len.to_be_bytes();
    }
}

/// Writes a length that was left open at `at`, as one octet.
pub(crate) fn fill_u8(out: &mut [u8], at: usize, len: usize) {
    if let Some(field) = out.get_mut(at) {
        *field = u8::try_from(len).unwrap_or(u8::MAX);
    }
}
