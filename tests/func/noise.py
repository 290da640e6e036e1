"""Direct channels once more, from the specification alone: handshake, records and their rotation,
over libsecp256k1 and libcrypto by ctypes and the standard library. Shares nothing with the C code,
so that no mistake can be on both sides."""
import ctypes
import ctypes.util
import hashlib
import hmac
import struct

MAGIC = {"main": bytes.fromhex("e3e1f3e8"), "regtest": bytes.fromhex("dab5bffa")}
NAME = b"Noise_XK_secp256k1_ChaChaPoly_SHA256"
ROTATE_AT = 1000


class Failed(Exception):
    """The other side sent what the protocol does not allow."""


# --- the two libraries ----------------------------------------------------------------------------

def library(name):
    path = ctypes.util.find_library(name)
    if not path:
        raise OSError(f"no lib{name}")
    return ctypes.CDLL(path)


class Curve:
    """Keys as their 33 bytes, secrets as 32."""

    def __init__(self):
        self.lib = library("secp256k1")
        self.lib.secp256k1_context_create.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.secp256k1_context_create(1))

    def parse(self, key):
        if len(key) != 33 or key[0] not in (2, 3):
            raise Failed("public key")
        point = ctypes.create_string_buffer(64)
        if not self.lib.secp256k1_ec_pubkey_parse(self.context, point, key, ctypes.c_size_t(33)):
            raise Failed("public key")
        return point

    def public(self, secret):
        point, out = ctypes.create_string_buffer(64), ctypes.create_string_buffer(33)
        size = ctypes.c_size_t(33)
        if not self.lib.secp256k1_ec_pubkey_create(self.context, point, secret):
            raise ValueError("secret")
        self.lib.secp256k1_ec_pubkey_serialize(self.context, out, ctypes.byref(size), point, 258)
        return out.raw

    def agree(self, key, secret):
        """SHA-256 of the compressed product."""
        point, out = self.parse(key), ctypes.create_string_buffer(32)
        if not self.lib.secp256k1_ecdh(self.context, out, point, secret, None, None):
            raise Failed("agreement")
        return out.raw

    def tweaked(self, how, key, tweak):
        """The key times (how mul) tweak, or with tweak times the generator added (how add)."""
        point, out = self.parse(key), ctypes.create_string_buffer(33)
        size = ctypes.c_size_t(33)
        work = getattr(self.lib, "secp256k1_ec_pubkey_tweak_" + how)
        if not work(self.context, point, tweak):
            raise Failed("tweak")
        self.lib.secp256k1_ec_pubkey_serialize(self.context, out, ctypes.byref(size), point, 258)
        return out.raw

    def sign(self, secret, digest):
        sig, out = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
        if not self.lib.secp256k1_ecdsa_sign(self.context, sig, digest, secret, None, None):
            raise ValueError("secret")
        self.lib.secp256k1_ecdsa_signature_serialize_compact(self.context, out, sig)
        return out.raw

    def verify(self, key, sig, digest):
        parsed = ctypes.create_string_buffer(64)
        return bool(
            self.lib.secp256k1_ecdsa_signature_parse_compact(self.context, parsed, sig) and
            self.lib.secp256k1_ecdsa_verify(self.context, parsed, digest, self.parse(key)))


class Aead:
    """ChaCha20-Poly1305 with the nonces of BOLT 8."""

    SET_TAG, GET_TAG = 0x11, 0x10

    def __init__(self):
        self.lib = library("crypto")
        self.lib.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
        self.lib.EVP_chacha20_poly1305.restype = ctypes.c_void_p
        self.cipher = ctypes.c_void_p(self.lib.EVP_chacha20_poly1305())
        self.context = ctypes.c_void_p(self.lib.EVP_CIPHER_CTX_new())

    def start(self, key, nonce, ad, seal):
        iv, size = bytes(4) + struct.pack("<Q", nonce), ctypes.c_int()
        assert self.lib.EVP_CipherInit_ex(self.context, self.cipher, None, key, iv, seal) == 1
        if ad:
            assert self.lib.EVP_CipherUpdate(self.context, None, ctypes.byref(size), ad,
                                             len(ad)) == 1

    def update(self, text):
        out, size = ctypes.create_string_buffer(len(text) + 16), ctypes.c_int()
        if text:
            assert self.lib.EVP_CipherUpdate(self.context, out, ctypes.byref(size), text,
                                             len(text)) == 1
        return out.raw[:len(text)]

    def finish(self):
        rest, size = ctypes.create_string_buffer(16), ctypes.c_int()
        return self.lib.EVP_CipherFinal_ex(self.context, rest, ctypes.byref(size)) == 1

    def seal(self, key, nonce, ad, text):
        tag = ctypes.create_string_buffer(16)
        self.start(key, nonce, ad, 1)
        out = self.update(text)
        assert self.finish()
        assert self.lib.EVP_CIPHER_CTX_ctrl(self.context, self.GET_TAG, 16, tag) == 1
        return out + tag.raw

    def open(self, key, nonce, ad, sealed):
        if len(sealed) < 16:
            raise Failed("too short")
        self.start(key, nonce, ad, 0)
        out = self.update(sealed[:-16])
        assert self.lib.EVP_CIPHER_CTX_ctrl(self.context, self.SET_TAG, 16, sealed[-16:]) == 1
        if not self.finish():
            raise Failed("tag")
        return out


CURVE = Curve()
AEAD = Aead()


# --- functions of the specification ---------------------------------------------------------------

def sha256(data):
    return hashlib.sha256(data).digest()


def tagged(tag, data):
    return sha256(sha256(tag) * 2 + data)


def hkdf(salt, material):
    secret = hmac.digest(salt, material, "sha256")
    first = hmac.digest(secret, b"\x01", "sha256")
    return first, hmac.digest(secret, first + b"\x02", "sha256")


def prologue(network):
    return b"bsv-bca-peer\x01" + MAGIC[network]


# --- handshake ------------------------------------------------------------------------------------

class Handshake:
    def __init__(self, initiator, start, secret, ephemeral, remote=None):
        self.initiator, self.secret, self.ephemeral = initiator, secret, ephemeral
        self.public, self.remote = CURVE.public(secret), remote
        self.chain = sha256(NAME)
        self.hash = sha256(self.chain + start)
        self.mix(remote if initiator else self.public)

    def mix(self, data):
        self.hash = sha256(self.hash + data)

    def key(self, shared):
        self.chain, self.temporary = hkdf(self.chain, shared)

    def seal(self, nonce, text):
        sealed = AEAD.seal(self.temporary, nonce, self.hash, text)
        self.mix(sealed)
        return sealed

    def open(self, nonce, sealed):
        text = AEAD.open(self.temporary, nonce, self.hash, sealed)
        self.mix(sealed)
        return text

    def act_one(self):
        self.mix(CURVE.public(self.ephemeral))
        self.key(CURVE.agree(self.remote, self.ephemeral))
        return b"\0" + CURVE.public(self.ephemeral) + self.seal(0, b"")

    def take(self, act, size):
        if len(act) != size or act[0] != 0:
            raise Failed("act")

    def act_two(self, one):
        self.take(one, 50)
        self.theirs = one[1:34]
        self.mix(self.theirs)
        self.key(CURVE.agree(self.theirs, self.secret))
        self.open(0, one[34:])
        self.mix(CURVE.public(self.ephemeral))
        self.key(CURVE.agree(self.theirs, self.ephemeral))
        return b"\0" + CURVE.public(self.ephemeral) + self.seal(0, b"")

    def act_three(self, two):
        self.take(two, 50)
        self.theirs = two[1:34]
        self.mix(self.theirs)
        self.key(CURVE.agree(self.theirs, self.ephemeral))
        self.open(0, two[34:])
        sealed = self.seal(1, self.public)
        self.key(CURVE.agree(self.theirs, self.secret))
        return b"\0" + sealed + self.seal(0, b"")

    def end(self, three):
        self.take(three, 66)
        self.remote = self.open(1, three[1:50])
        self.key(CURVE.agree(self.remote, self.ephemeral))
        self.open(0, three[50:])

    def session(self):
        first, second = hkdf(self.chain, b"")
        send, receive = (first, second) if self.initiator else (second, first)
        return Session(Direction(send, self.chain), Direction(receive, self.chain), self.hash,
                       self.remote)


# --- records --------------------------------------------------------------------------------------

class Direction:
    def __init__(self, key, chain):
        self.k, self.chain, self.nonce = key, chain, 0

    def rotate(self, shared=b""):
        self.chain, self.k = hkdf(self.chain, self.k + shared)
        self.nonce = 0

    def step(self):
        self.nonce += 1
        if self.nonce == ROTATE_AT:
            self.rotate()

    def seal(self, text):
        sealed = AEAD.seal(self.k, self.nonce, b"", text)
        self.step()
        return sealed

    def open(self, sealed):
        text = AEAD.open(self.k, self.nonce, b"", sealed)
        self.step()
        return text


class Session:
    """Packets, without any rule about what is in them."""

    def __init__(self, send, receive, identifier, remote):
        self.send, self.receive, self.id, self.remote = send, receive, identifier, remote

    def packet(self, message):
        return self.send.seal(struct.pack(">H", len(message))) + self.send.seal(message)

    def read(self, take):
        """take(n) gives exactly n bytes."""
        size = struct.unpack(">H", self.receive.open(take(18)))[0]
        return self.receive.open(take(size + 16))


def take(connection, n):
    """Exactly so many bytes of a socket."""
    data = b""
    while len(data) < n:
        piece = connection.recv(n - len(data))
        if not piece:
            raise EOFError(f"{len(data)} of {n} bytes")
        data += piece
    return data
