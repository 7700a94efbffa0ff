package runtime

import "fmt"

// Kind describes a type of object. Its name stands in messages and states, so everything that affects the state of an
// object is part of it. A kind of your own has a dotted or slashed name ("example.com/maxregister").
type Kind struct {
	Name string
	// New makes the initial state of an object; n is the object's place in the document.
	New func(n *Node) Object
}

// wellKnown lists the kinds whose names are coded as a number. Codes are part of format version 1: they never change.
// Code 0 stands for a name that is spelled out.
var wellKnown = [...]string{
	1: "counter", 2: "register", 3: "mvregister", 4: "flag", 5: "flag-dw", 6: "set", 7: "map", 8: "lazymap",
	9: "objectmap", 10: "objectset", 11: "list", 12: "objectlist", 13: "text", 14: "record", 15: "richtext", 16: "tree",
}

// kindInfo is a kind as one runtime knows it. Unknown kinds have no new function.
type kindInfo struct {
	name   string
	format string // "object " and the name, for errors
	code   uint64 // in wellKnown, or 0
	new    func(*Node) Object
	made   *nodeName // of all objects of the kind that were made
	// oversees says that its objects are Overseers; set under the table's lock.
	oversees bool
}

// recordCode is the code of the kind whose children have the same names in many objects.
const recordCode = 14

const maxKindName = 255

// kindFormats are kindInfo.format by code, so that each document need not make them.
var kindFormats = func() (formats [len(wellKnown)]string) {
	for code, name := range wellKnown {
		formats[code] = "object " + name
	}
	return formats
}()

// kindCodes are the codes by name.
var kindCodes = func() map[string]uint64 {
	codes := make(map[string]uint64, len(wellKnown))
	for code, name := range wellKnown[1:] {
		codes[name] = uint64(code) + 1
	}
	return codes
}()

func kindCode(name string) uint64 { return kindCodes[name] }

// findKind returns the record of a kind by name, nil if there is none.
func (r *Runtime) findKind(name string) *kindInfo {
	if code := kindCode(name); code != 0 {
		if k := &r.kindByCode[code]; k.name != "" {
			return k
		}
		return nil
	}
	return r.kinds[name]
}

// kind is findKind, making a record for an unknown kind.
func (r *Runtime) kind(name string) *kindInfo {
	k := r.findKind(name)
	if k != nil {
		return k
	}
	if code := kindCode(name); code != 0 {
		k = &r.kindByCode[code]
		k.name, k.format, k.code = wellKnown[code], kindFormats[code], code
		return k
	}
	k = &kindInfo{name: name, format: "object " + name}
	if r.kinds == nil {
		r.kinds = make(map[string]*kindInfo)
	}
	r.kinds[name] = k
	return k
}

func (r *Runtime) registerKinds(kinds []Kind) error {
	r.kindByCode = make([]kindInfo, len(wellKnown))
	for _, k := range kinds {
		if k.Name == "" || len(k.Name) > maxKindName || k.New == nil {
			return fmt.Errorf("%w: kind %q needs a name of 1 to %d bytes and a New function", ErrInvalidOptions, k.Name, maxKindName)
		}
		info := r.kind(k.Name)
		if info.new != nil {
			return fmt.Errorf("%w: kind %q is listed twice", ErrInvalidOptions, k.Name)
		}
		info.new = k.New
	}
	return nil
}
