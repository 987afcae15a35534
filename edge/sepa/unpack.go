package sepa

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"

	"tandem/kit/fault"
)

// File is one file that came from a bank.
type File struct {
	Name string
	Text []byte
}

// Unpack takes apart what was fetched from a bank: an archive of files (EBICS delivers
// statements in a ZIP container), or one file as it is. lim.Bytes bounds what comes out
// and lim.Items how many files. A damaged archive gives nothing.
func Unpack(name string, fetched []byte, lim Limits) ([]File, error) {
	lim = lim.orUsual()
	if !bytes.HasPrefix(fetched, []byte("PK\x03\x04")) && !bytes.HasPrefix(fetched, []byte("PK\x05\x06")) { // the latter is empty
		return []File{{name, fetched}}, nil
	}
	archive, err := zip.NewReader(bytes.NewReader(fetched), int64(len(fetched)))
	if err != nil {
		return nil, fault.BadInput("archiveBroken", "The archive %.100q is damaged or was cut off on its way. Nothing of it was taken: fetch it again from the bank", name)
	}
	if len(archive.File) > lim.Items {
		return nil, fault.New(fault.TooLarge, "archiveLong", "The archive %.100q has more than %d files", name, lim.Items)
	}
	var out []File
	left := lim.Bytes
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		text, err := unpacked(f, left)
		if err != nil {
			return nil, fault.BadInput("archiveBroken", "The file %.100q in the archive %.100q is damaged. Nothing of it was taken: fetch it again from the bank", f.Name, name)
		}
		if left -= int64(len(text)); left < 0 {
			return nil, fault.New(fault.TooLarge, "fileLarge", "The archive %.100q holds more than the %d bytes that are read", name, lim.Bytes)
		}
		out = append(out, File{f.Name, text})
	}
	if len(out) == 0 {
		return nil, fault.BadInput("archiveEmpty", "The archive %.100q holds no file", name)
	}
	return out, nil
}

// unpacked reads one member, and one byte more than is allowed if it has more; what
// the archive says about its size is not believed.
func unpacked(f *zip.File, most int64) ([]byte, error) {
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(io.LimitReader(in, most+1))
}
