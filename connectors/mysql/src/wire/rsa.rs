//! The password under the server's RSA key, for full authentication without TLS.
//!
//! The key comes from an unknown server, and the parser of `mysql_common` panics on a bad one, so
//! the few DER fields are cut out here.

use mysql_common::crypto::rsa::{GetRandom, Pkcs1OaepPadding, PublicKey};
use num_bigint::BigUint;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use super::packet::Cursor;

/// OAEP with SHA-1 takes 2 × 20 + 2 bytes of a block.
const OAEP_OVERHEAD: usize = 42;

/// Encrypts `password` and its closing zero byte, each byte mixed with the nonce. `None` when the
/// key cannot be used.
pub(super) fn encrypt(password: &[u8], nonce: &[u8], pem: &[u8]) -> Option<Vec<u8>> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    let key = public_key(&der)?;
    let mut block: Vec<u8> = password.iter().copied().chain([0]).collect();
    for (i, byte) in block.iter_mut().enumerate() {
        *byte ^= nonce.get(i % nonce.len().max(1))?;
    }
    if block.len() + OAEP_OVERHEAD > key.num_octets() {
        return None;
    }
    Some(key.encrypt_block(&block, Pkcs1OaepPadding::new(GetRandom)))
}

/// `SEQUENCE { SEQUENCE algorithm, BIT STRING { SEQUENCE { modulus, exponent } } }` (RFC 5280).
fn public_key(der: &[u8]) -> Option<PublicKey> {
    let mut outer = Cursor(field(&mut Cursor(der), 0x30)?);
    field(&mut outer, 0x30)?;
    let bits = field(&mut outer, 0x03)?;
    let (0, inner) = bits.split_first().map(|(unused, rest)| (*unused, rest))? else {
        return None;
    };
    let mut numbers = Cursor(field(&mut Cursor(inner), 0x30)?);
    let modulus = BigUint::from_bytes_be(field(&mut numbers, 0x02)?);
    let exponent = BigUint::from_bytes_be(field(&mut numbers, 0x02)?);
    let sound = (1024..=16_384).contains(&modulus.bits()) && (2..=64).contains(&exponent.bits());
    sound.then(|| PublicKey::new(modulus, exponent))
}

fn field<'a>(c: &mut Cursor<'a>, tag: u8) -> Option<&'a [u8]> {
    if c.u8()? != tag {
        return None;
    }
    let len = match c.u8()? {
        n @ 0..=0x7f => usize::from(n),
        n => c
            .take(usize::from(n & 0x7f))
            .filter(|bytes| bytes.len() <= 4)?
            .iter()
            .fold(0, |len, b| len << 8 | usize::from(*b)),
    };
    c.take(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_that_is_none_is_refused() {
        for pem in ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert_eq!(encrypt(b"secret", &[1; 20], pem.as_bytes()), None);
        }
    }

    proptest! {
        #[test]
        fn no_key_panics(bytes: Vec<u8>) {
            let _ = public_key(&bytes);
        }
    }
}
