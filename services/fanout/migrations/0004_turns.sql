-- A turn is taken and given back within one transaction: there is nothing to keep through a crash.
ALTER TABLE turns SET UNLOGGED;
