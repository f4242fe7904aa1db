package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrFormat is wrapped by the error of reading a file that is not 8 kHz mono
// 16-bit PCM.
var ErrFormat = errors.New("not 8 kHz mono 16-bit PCM")

const wavHeader = 44

// longest is what Load reads at most: ten minutes.
const longest = 600 * Rate * 2

// Load reads a recording: a WAV file of 8 kHz mono 16-bit PCM, or a file whose
// name ends in .raw or .sln with the bare samples, little-endian.
func Load(path string) ([]int16, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("audio: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, longest+wavHeader))
	if err != nil {
		return nil, fmt.Errorf("audio: reading %s: %w", path, err)
	}
	if strings.HasSuffix(path, ".raw") || strings.HasSuffix(path, ".sln") {
		return decode(data), nil
	}
	samples, err := ParseWAV(data)
	if err != nil {
		return nil, fmt.Errorf("audio: %s: %w", path, err)
	}
	return samples, nil
}

// ParseWAV reads the samples of a RIFF WAVE file.
func ParseWAV(data []byte) ([]int16, error) {
	if len(data) < 12 || string(data[:4]) != "RIFF" || string(data[8:12]) != "WAVE" {
		return nil, fmt.Errorf("no RIFF WAVE: %w", ErrFormat)
	}
	formatted := false
	for data = data[12:]; len(data) >= 8; {
		id, size := string(data[:4]), int(min(binary.LittleEndian.Uint32(data[4:]), 1<<30))
		body := data[8:min(len(data), 8+size)]
		switch {
		case id == "fmt " && len(body) >= 16:
			tag, channels := binary.LittleEndian.Uint16(body), binary.LittleEndian.Uint16(body[2:])
			rate, bits := binary.LittleEndian.Uint32(body[4:]), binary.LittleEndian.Uint16(body[14:])
			if tag != 1 || channels != 1 || rate != Rate || bits != 16 {
				return nil, fmt.Errorf("format %d, %d channels, %d Hz, %d bits: %w", tag, channels, rate, bits, ErrFormat)
			}
			formatted = true
		case id == "data" && formatted:
			return decode(body), nil
		}
		data = data[min(len(data), 8+size+size&1):]
	}
	return nil, fmt.Errorf("no samples: %w", ErrFormat)
}

func decode(b []byte) []int16 {
	samples := make([]int16, len(b)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return samples
}

// WriteWAV prints samples as a WAV file.
func WriteWAV(w io.Writer, samples []int16) error {
	size := uint32(2 * len(samples))
	b := make([]byte, 0, wavHeader+2*len(samples))
	le := binary.LittleEndian
	b = append(b, "RIFF"...)
	b = le.AppendUint32(b, 36+size)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1) // PCM
	b = le.AppendUint16(b, 1) // mono
	b = le.AppendUint32(b, Rate)
	b = le.AppendUint32(b, 2*Rate)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = le.AppendUint32(b, size)
	for _, s := range samples {
		b = le.AppendUint16(b, uint16(s))
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("audio: writing WAV: %w", err)
	}
	return nil
}
