//! The envelope of a chunk: a checksum, then the columns, compressed where that is shorter.

use lz4_flex::block::{compress, decompress};

use super::bytes::{Take, checksum, put};

const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// More than any chunk has: what claims to be longer is damaged.
const LONGEST: u64 = 1 << 24;

pub(super) fn seal(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4];
    let packed = compress(body);
    if packed.len() + 3 < body.len() {
        out.push(LZ4);
        put(&mut out, body.len() as u64);
        out.extend_from_slice(&packed);
    } else {
        out.push(PLAIN);
        out.extend_from_slice(body);
    }
    let sum = checksum(&out[4..]);
    out[..4].copy_from_slice(&sum.to_le_bytes());
    out
}

/// The columns; `None` if a bit of it is not as it was sealed.
pub(super) fn unseal(data: &[u8]) -> Option<Vec<u8>> {
    let (sum, rest) = data.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(rest) {
        return None;
    }
    let mut take = Take(rest);
    match take.byte()? {
        PLAIN => Some(take.0.to_vec()),
        LZ4 => {
            let len = take.number().filter(|len| *len < LONGEST)?;
            decompress(take.0, usize::try_from(len).ok()?).ok()
        }
        _ => None,
    }
}
