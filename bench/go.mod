module github.com/seed1312cc15/weft/bench

go 1.26
