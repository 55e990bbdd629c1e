"""The secure channel of OSDP: keys, cryptograms, MACs and encryption (AES-128, after SCP03). Pure.

    S-ENC, S-MAC1, S-MAC2 = AES(SCBK, 01 82 | 01 01 | 01 02, six bytes of the panel's random, eight 00)
    client cryptogram     = AES(S-ENC, panel's random, reader's random)      the reader proves the key
    server cryptogram     = AES(S-ENC, reader's random, panel's random)      the panel proves the key
    R-MAC-I               = AES(S-MAC2, AES(S-MAC1, server cryptogram))      the first MAC
    MAC                   = CBC, S-MAC1 for all blocks but the last, S-MAC2 for that; IV = last MAC of the other side
    data                  = CBC with S-ENC, IV = inverse of the last MAC of the other side; padded with 80 00...

Both sides use one Channel: what a panel sends, a reader receives. The values of Annex E are in the shared vectors.
"""

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_BYTES = BLOCK = 16
RANDOM_BYTES = 8
DEFAULT_KEY = bytes(range(0x30, 0x40))  # SCBK-D: in the standard, so known to everyone
PADDING = b"\x80"
ZEROS = bytes(BLOCK)


def _ecb(key: bytes, block: bytes) -> bytes:
    """One block; that is all that is done with ECB here."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - the standard derives keys so
    return encryptor.update(block) + encryptor.finalize()


def _cbc(key: bytes, iv: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def _cbc_back(key: bytes, iv: bytes, data: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def _padded(data: bytes) -> bytes:
    return data + PADDING + bytes(-(len(data) + 1) % BLOCK)


def _inverse(block: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in block)


class Channel:
    """The keys of one session and its last two MACs."""

    def __init__(self, key: bytes, panel_random: bytes, reader_random: bytes) -> None:
        six = panel_random[:6] + bytes(8)
        self.s_enc, self.s_mac1, self.s_mac2 = (
            _ecb(key, head + six) for head in (b"\x01\x82", b"\x01\x01", b"\x01\x02")
        )
        self.client_cryptogram = _ecb(self.s_enc, panel_random + reader_random)
        self.server_cryptogram = _ecb(self.s_enc, reader_random + panel_random)
        self.r_mac = _ecb(self.s_mac2, _ecb(self.s_mac1, self.server_cryptogram))  # of the last reply
        self.c_mac = ZEROS  # of the last command

    def seal(self, frame: bytes, reply: bool) -> bytes:
        """The MAC of a frame up to it, which becomes the last of its side."""
        iv = self.c_mac if reply else self.r_mac
        data = frame if len(frame) % BLOCK == 0 else _padded(frame)
        if len(data) > BLOCK:
            iv = _cbc(self.s_mac1, iv, data[:-BLOCK])[-BLOCK:]
        mac = _cbc(self.s_mac2, iv, data[-BLOCK:])
        if reply:
            self.r_mac = mac
        else:
            self.c_mac = mac
        return mac

    def holds(self, frame: bytes, mac: bytes, reply: bool) -> bool:
        """Whether the frame is the other side's next one. A wrong one changes nothing."""
        before = self.c_mac, self.r_mac
        right = self.seal(frame, reply)[: len(mac)]
        if mac and hmac.compare_digest(right, mac):
            return True
        self.c_mac, self.r_mac = before
        return False

    def encrypt(self, data: bytes, reply: bool) -> bytes:
        iv = _inverse(self.c_mac if reply else self.r_mac)
        return _cbc(self.s_enc, iv, _padded(data))

    def decrypt(self, data: bytes, reply: bool) -> bytes | None:
        """None when it is not padded as it must be."""
        if not data or len(data) % BLOCK:
            return None
        plain = _cbc_back(self.s_enc, _inverse(self.c_mac if reply else self.r_mac), data).rstrip(b"\0")
        return plain[:-1] if plain.endswith(PADDING) else None


def same(one: bytes, other: bytes) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(one, other)
