-- What is sealed does not shrink: PostgreSQL would try all the same. Rows stay in one piece.
ALTER TABLE notices
    ALTER COLUMN event SET STORAGE EXTERNAL,
    SET (toast_tuple_target = 8160);
