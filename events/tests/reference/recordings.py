"""Makes the small recordings in this folder and prints the values that tests/readers.rs expects.

Run with h5py 3.16, numpy 2.4 and tonic 1.7: python recordings.py
`sample_nmnist.bin` is one recording of N-MNIST (Orchard and others 2015, CC BY-SA 4.0) and is not made here.
"""

import struct
from pathlib import Path

import h5py
import numpy as np
from tonic.io import read_mnist_file

FOLDER = Path(__file__).parent
RANDOM = np.random.default_rng(13)


def shown(name, t, x, p=None):
    fields = [len(t), int(np.sum(t)), int(np.sum(np.asarray(x, np.int64)))]
    print(name, fields if p is None else [*fields, int(np.sum(p))])


def shd(name, times, chunks=None, **options):
    """Writes SHD's layout with h5py; `earliest` is the format version of the published files."""
    extra = {} if chunks is None else {"chunks": chunks, "maxshape": (None,)}
    with h5py.File(FOLDER / name, "w", **options) as file:
        t = file.create_dataset("spikes/times", (6,), dtype=h5py.vlen_dtype(times), **extra)
        u = file.create_dataset("spikes/units", (6,), dtype=h5py.vlen_dtype(np.uint16), **extra)
        for sample, count in enumerate([0, 1, 20, 700, 3, 5]):
            t[sample] = np.sort(RANDOM.random(count)).astype(times)
            u[sample] = RANDOM.integers(0, 700, count)
        file["labels"] = np.arange(6, dtype=np.uint16) % 3
        file["extra/speaker"] = np.arange(6, dtype=np.uint16) // 2
        file["extra/keys"] = np.array([b"null", b"eins", b"zwei"])
        microseconds = np.concatenate([np.floor(s.astype(np.float64) * 1e6 + 0.5) for s in t[:]])
        shown(name, microseconds, np.concatenate(u[:]))


def untidy():
    """Invalid times, and times out of order."""
    with h5py.File(FOLDER / "untidy.h5", "w") as file:
        t = file.create_dataset("spikes/times", (2,), dtype=h5py.vlen_dtype(np.float32))
        u = file.create_dataset("spikes/units", (2,), dtype=h5py.vlen_dtype(np.uint16))
        t[0], u[0] = np.array([0.5, np.nan, 0.25, np.inf, -1.0], np.float32), [5, 6, 7, 8, 9]
        t[1], u[1] = np.array([0.0, 0.0], np.float32), [2, 1]
        file["labels"] = np.array([0, 1], np.uint16)


def arrays():
    x, y, p = (RANDOM.integers(0, n, 50) for n in (16, 12, 2))
    t = np.sort(RANDOM.integers(0, 10**6, 50))
    np.save(FOLDER / "rows.npy", np.stack([x, y, p, t], 1))
    np.save(FOLDER / "columns.npy", np.asfortranarray(np.stack([x, y, p, t], 1).astype(">f4")))
    fields = np.empty(50, [("t", "<u4"), ("x", "u1"), ("y", ">i2"), ("p", "?")])
    fields["t"], fields["x"], fields["y"], fields["p"] = t, x, y, p
    np.save(FOLDER / "fields.npy", fields)
    np.savez_compressed(FOLDER / "camera.npz", x=x, y=y, p=p * 2 - 1, t=t)
    np.savez(FOLDER / "cochlea.npz", times=(t / 1e6).astype(np.float16), units=x)
    shown("arrays", t, x, p)
    shown("cochlea.npz", np.floor((t / 1e6).astype(np.float16).astype(np.float64) * 1e6 + 0.5), x)


def aedat3():
    """Two packets of polarity events around one of another type."""
    head = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    packet = lambda kind, size, count, body: struct.pack("<HHIIIIII", kind, 1, size, 4, 0, count, count, count) + body
    t = np.sort(RANDOM.integers(5000, 9000, 30))
    x, y, p = (RANDOM.integers(0, n, 30) for n in (128, 128, 2))
    event = lambda i: struct.pack("<II", int(x[i]) << 17 | int(y[i]) << 2 | int(p[i]) << 1 | 1, int(t[i]))
    body = b"".join(map(event, range(30)))
    (FOLDER / "user01_led.aedat").write_bytes(head + packet(1, 8, 20, body[:160]) + packet(0, 8, 1, bytes(8)) + packet(1, 8, 10, body[160:]))
    (FOLDER / "user01_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n3,5000,7000\n11,7000,9000\n")
    shown("user01_led.aedat", t - t[0], x, p)


def written():
    """Checks the file that tests/readers.rs writes, before it is committed."""
    with h5py.File(FOLDER / "written.h5") as file:
        counts = [3, 0, 1000, 2]
        for sample, count in enumerate(counts):
            np.testing.assert_array_equal(file["spikes/times"][sample], (np.arange(count) / 1024).astype(np.float16))
            np.testing.assert_array_equal(file["spikes/units"][sample], np.arange(count) % 40)
        assert file["labels"][:].tolist() == [0, 1, 1, 0] and file["extra/speaker"][:].tolist() == [0] * 4
        assert file["extra/keys"].asstr()[:].tolist() == ["null", "fünf"] and file["extra/speakers"].asstr()[:].tolist() == ["ann"]
        assert (file.attrs["channels"], file.attrs["train"]) == (b"40", b"2"), dict(file.attrs)


if __name__ == "__main__":
    written()
    shd("earliest.h5", np.float16, libver="earliest")
    shd("latest.h5", np.float32, libver="latest")
    shd("chunked.h5", np.float64, chunks=(4,))
    untidy()
    arrays()
    aedat3()
    events = read_mnist_file(FOLDER / "sample_nmnist.bin", dtype=np.dtype([(n, int) for n in "xytp"]))
    shown("sample_nmnist.bin", events["t"], events["x"], events["p"])
