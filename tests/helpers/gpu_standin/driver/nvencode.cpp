// NVENC's library, which the import of PyNvVideoCodec requires even where nothing is encoded.
extern "C" int NvEncodeAPIGetMaxSupportedVersion(unsigned* version) { return *version = 13 << 4, 0; }
