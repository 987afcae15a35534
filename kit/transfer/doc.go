// Package transfer owns the import and export jobs of the catalogues (importJob
// and exportJob of TMF620, TMF633 and TMF634; TMF630 Part 1): one implementation,
// given the kinds of a catalogue.
//
//	POST importJob ─> job row + work (one tx)      POST exportJob ─> same
//	      │ "Not Started"                                │
//	      v "Running"                                    v "Running"
//	read content, inline,                          read the kinds in pages,
//	from the folder or by http (no tx)             write <folder>/<tenant>/<file>
//	      v                                              v
//	ONE tx: all resources, checks that             "Succeeded"; read it at
//	were put off, "Succeeded"                      url = /transfer/<file>
//	      └─ or nothing of it: "Failed" with errorLog (line by line)
//
// Content is a JSON array of resources, or one resource after another (NDJSON);
// each names its class by @type, or by @baseType that of which it is a subclass. An
// import creates what is new and replaces what
// exists, in any order within the file: checks of references that a room puts off
// with [Later] run when everything is there. A state that no new resource may begin
// in is reached by the moves the state machine allows, so that an export can be
// imported as it is. Note that on the embedded store an import holds the one writer
// for its length.
//
// An import reads files only from its tenant's folder, and by http only from
// where app's policy allows. The package tells no facts; jobs have the events
// of their kind.
package transfer
