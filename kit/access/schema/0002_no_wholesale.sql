-- Who may use whose elements is written where the elements are (activation_grant).
DROP TABLE access_wholesale;
