package store

import (
	"sync"

	"modernc.org/libc"
)

// SQLite takes its memory from an allocator that maps 64 KiB for blocks of one size and
// unmaps them as soon as none is in use. A page of the largest size holds three blocks,
// and the tree of an index asks for one whenever it is balanced: without this each such
// insert would map, touch and unmap memory, a seventh of all that a busy writer does.
//
// keepHeap holds one block in some pages of each size, for ever, so that the others in
// them are there to be taken: 2 MB a process.
var keepHeap = sync.OnceFunc(func() {
	const page, smallest, largest = 64 << 10, 16, 16 << 10
	tls := libc.NewTLS()
	defer tls.Close()
	for size := smallest; size <= largest; size *= 2 {
		pages := 2
		if size == largest {
			pages = 8
		}
		held, spare := map[uintptr]bool{}, []uintptr(nil)
		for len(held) < pages {
			p := libc.Xmalloc(tls, libc.Tsize_t(size))
			if p == 0 {
				break // there is no memory: whoever needs some will say so
			}
			if at := p &^ (page - 1); !held[at] {
				held[at] = true
				continue
			}
			spare = append(spare, p)
		}
		for _, p := range spare {
			libc.Xfree(tls, p)
		}
	}
})
