// Package pdf writes documents for people as files of PDF 1.7 that keep (PDF/A-3b, ISO
// 19005-3): letters, bills, tables of many pages. It knows paper, not business.
//
//	New ──> Page ──> Text, Right, Rule, Fill, Picture, Dots      millimetres from the top left
//	  │
//	  ├──> Open, Close       what the text is, for readers that see no page (ISO 14289)
//	  ├──> Attach, Describe  files that travel inside, and what to say of them
//	  └──> Bytes             the file
//
// Fonts are TrueType, parsed once in a process ([Regular], [Bold]); a file has the outlines of
// the letters that stand in it. The built-in ones cover Latin, Greek and Cyrillic; of a letter
// that they lack, the letter without its marks is shown, or an empty box.
//
// The file depends on what was drawn and nothing else: no clock, no chance. All letters can be
// read out and searched; what is only there for the eye is marked so.
//
// Owns, tells and hears nothing.
//
// Doors: [New], [ParseFont], [Decode].
package pdf
