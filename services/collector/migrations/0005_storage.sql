-- What is sealed does not shrink: PostgreSQL would try all the same, at a millisecond for an answer. Rows stay in one piece.
ALTER TABLE results
    ALTER COLUMN personal SET STORAGE EXTERNAL,
    ALTER COLUMN found SET STORAGE EXTERNAL,
    SET (toast_tuple_target = 8160);
ALTER TABLE openings
    ALTER COLUMN body SET STORAGE EXTERNAL,
    SET (toast_tuple_target = 8160);
ALTER TABLE cases SET (toast_tuple_target = 8160);
