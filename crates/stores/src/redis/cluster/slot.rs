//! The hash slot of a key, by the specification of Redis Cluster.

/// The number of slots.
pub(in super::super) const SLOTS: u16 = 16384;

/// The slot of `key`.
pub(in super::super) fn slot_of(key: &[u8]) -> u16 {
    crc16(tag(key).unwrap_or(key)) % SLOTS
}

/// The slot of all keys that begin with `prefix`, if they share one.
pub(in super::super) fn fixed_slot(prefix: &[u8]) -> Option<u16> {
    tag(prefix).map(|tag| crc16(tag) % SLOTS)
}

/// The hash tag of a key: the bytes between the first `{` and the next `}`, unless there are none. Of a key with a hash
/// tag, only the tag is hashed.
fn tag(key: &[u8]) -> Option<&[u8]> {
    let opening = key.iter().position(|byte| *byte == b'{')?;
    let rest = key.get(opening + 1..)?;
    let closing = rest.iter().position(|byte| *byte == b'}')?;
    rest.get(..closing).filter(|tag| !tag.is_empty())
}

/// Returns a function that computes the slot of a key from what follows `stem`, for keys that begin with `stem` and
/// have no hash tag.
pub(in super::super) fn slot_after(stem: &[u8]) -> impl Fn(&[u8]) -> u16 {
    let begun = crc16(stem);
    move |rest| crc16_on(begun, rest) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    crc16_on(0, bytes)
}

fn crc16_on(begun: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(begun, |crc, byte| {
        let mut crc = crc ^ (u16::from(*byte) << 8);
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc = (crc << 1) ^ if carry { 0x1021 } else { 0 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` of Redis 7.0.15 says.
        for (key, slot) in [
            (&b"auth:1"[..], 4619),
            (b"foo", 12182),
            (b"{foo}bar", 12182),
            (b"x{foo}{bar}", 12182),
            (b"foo{}{bar}", slot_of(b"foo{}{bar}")),
            (b"", 0),
        ] {
            assert_eq!(slot_of(key), slot, "{key:?}");
        }
        assert_eq!(slot_after(b"auth:")(b"1"), 4619);
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"));
        assert_eq!(slot_of(b"{{foo}"), crc16(b"{foo") % SLOTS);
    }

    #[test]
    fn a_prefix_with_a_complete_hash_tag_fixes_the_slot() {
        assert_eq!(fixed_slot(b"{foo}:"), Some(12182));
        for prefix in [&b"auth:"[..], b"auth:{", b"{}", b"}{"] {
            assert_eq!(fixed_slot(prefix), None);
        }
    }
}
