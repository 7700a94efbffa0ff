package plain

import (
	"errors"
	"maps"
	"math/big"

	"github.com/google/uuid"
)

// ErrOverflow marks a sum beyond int64.
var ErrOverflow = errors.New("plain: counter overflow")

// Counter is a counter with reset. A reset takes away what it saw, and no concurrent addition.
//
// For each replica that added, it keeps the total of its additions as of its last one, and the total that the last
// reset saw; the value is the sum of the differences. Both pairs join by the larger end.
type Counter struct {
	site *Site
	history
	rows map[uuid.UUID]Row
}

// Row is what a Counter holds for one replica. An end is 1 + the seq of an addition, so 0 means none.
type Row struct {
	End        uint64
	Total      int64
	ResetEnd   uint64
	ResetTotal int64
}

// NewCounter returns a counter of value 0.
func NewCounter(site *Site) *Counter {
	return &Counter{site: site, history: newHistory(), rows: map[uuid.UUID]Row{}}
}

// Clone returns a copy at site, or a copy to merge from and read only if site is nil.
func (c *Counter) Clone(site *Site) *Counter {
	if site != nil {
		site.Observe(c.lamport)
	}
	return &Counter{site, c.history.clone(), maps.Clone(c.rows)}
}

// Add adds n. It returns ErrOverflow, and changes nothing, if the value or the replica's own total would leave int64.
func (c *Counter) Add(n int64) error {
	row := c.rows[c.site.ID]
	total := new(big.Int).Add(big.NewInt(row.Total), big.NewInt(n))
	value := new(big.Int).Add(c.sum(), big.NewInt(n))
	if !total.IsInt64() || !value.IsInt64() {
		return ErrOverflow
	}
	row.End, row.Total = c.tick(c.site, 1).Seq+1, total.Int64()
	c.rows[c.site.ID] = row
	return nil
}

// Reset takes away all additions seen. It takes one dot.
func (c *Counter) Reset() {
	c.tick(c.site, 1)
	for id, row := range c.rows {
		row.ResetEnd, row.ResetTotal = row.End, row.Total
		c.rows[id] = row
	}
}

// Value returns the sum, or ErrOverflow if it is not an int64, as it may be after concurrent additions.
func (c *Counter) Value() (int64, error) {
	sum := c.sum()
	if !sum.IsInt64() {
		return 0, ErrOverflow
	}
	return sum.Int64(), nil
}

func (c *Counter) sum() *big.Int {
	sum := new(big.Int)
	for _, row := range c.rows {
		sum.Add(sum, big.NewInt(row.Total))
		sum.Sub(sum, big.NewInt(row.ResetTotal))
	}
	return sum
}

// Rows returns the pairs of each replica that added. Equal states have equal Rows.
func (c *Counter) Rows() map[uuid.UUID]Row { return maps.Clone(c.rows) }

// Merge joins the whole state of other into c.
func (c *Counter) Merge(other *Counter) {
	for id, theirs := range other.rows {
		mine := c.rows[id]
		if theirs.End > mine.End {
			mine.End, mine.Total = theirs.End, theirs.Total
		}
		if theirs.ResetEnd > mine.ResetEnd {
			mine.ResetEnd, mine.ResetTotal = theirs.ResetEnd, theirs.ResetTotal
		}
		c.rows[id] = mine
	}
	c.merge(c.site, &other.history)
}
